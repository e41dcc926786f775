"""The PyPI package python-socketio with pushbench's server.

Usage: socketio_python.py URL TRANSPORT[,TRANSPORT]. Throws if a check fails.
"""
import sys

import socketio

url, transports = sys.argv[1], sys.argv[2].split(",")
texts = ["hello", "", "line\nbreak, 漢字 🎈", "x" * 10_000]


def post(encoding, ordinal, text):
    if encoding == "binary":  # crates/wire/PROTOCOL.md
        return b"\x11" + (7).to_bytes(4, "big") + ordinal.to_bytes(8, "big") + text.encode()
    return {"author": 7, "ordinal": ordinal, "text": text}


for encoding in ("json", "binary"):
    with socketio.SimpleClient() as client:
        client.connect(url, transports=transports, wait_timeout=15)
        room = f"py-{encoding}-{'-'.join(transports)}"
        assert client.call("join", {"room": room, "encoding": encoding}, timeout=15) == {"after": 0}
        for ordinal, text in enumerate(texts, 1):
            answer = client.call("post", post(encoding, ordinal, text), timeout=15)
            assert answer == {"ordinal": ordinal, "seq": ordinal}, answer
        for seq, text in enumerate(texts, 1):
            event, message = client.receive(timeout=15)
            if encoding == "binary":
                message = {"seq": int.from_bytes(message[1:9], "big"), "text": message[21:].decode()}
            assert (event, message["seq"], message["text"]) == ("message", seq, text), message
