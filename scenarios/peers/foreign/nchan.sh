#!/bin/sh
# Starts nginx with nchan on a port, in the foreground.
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed "s|PORT|$1|; s|^pid .*|pid $work/pid;|" "$here/nchan.conf" | sed "s|127.0.0.1:PORT|127.0.0.1:$1|" > "$work/nginx.conf"
nginx -p "$work" -c "$work/nginx.conf" &
trap 'kill "$!"; wait; rm -rf "$work"' TERM INT
wait
