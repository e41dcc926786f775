#!/bin/sh
# Runs nginx with nchan on a port until it is ended.
here=$(dirname "$0")
work=$(mktemp -d)
sed "s|PORT|$1|" "$here/nchan.conf" > "$work/nginx.conf"
nginx -e stderr -p "$work" -c "$work/nginx.conf" &
nginx=$!
# The nginx has the same signal.
trap : TERM INT
wait "$nginx"
wait "$nginx"
rm -rf "$work"
