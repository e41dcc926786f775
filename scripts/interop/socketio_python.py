"""The PyPI package python-socketio against our Socket.IO. Usage: socketio_python.py URL; prints a line a check, ends with 1 on failure."""
import sys

import socketio

url, failed = sys.argv[1], 0
for transports in (["polling"], ["websocket"], ["polling", "websocket"]):
    name = f"python-socketio {'+'.join(transports)}: joins, posts, hears what it said, text and binary"
    try:
        for encoding in ("json", "binary"):
            with socketio.SimpleClient() as client:
                client.connect(url, transports=transports, wait_timeout=20)
                room = f"py-{encoding}-{'-'.join(transports)}"
                assert client.call("join", {"room": room, "encoding": encoding}, timeout=20) == {"after": 0}
                texts = ["hello", "", "line\nbreak, 漢字 🎈", "x" * 10_000]
                for ordinal, text in enumerate(texts, 1):
                    post = {"author": 7, "ordinal": ordinal, "text": text}
                    if encoding == "binary":
                        post = b"\x11" + (7).to_bytes(4, "big") + ordinal.to_bytes(8, "big") + text.encode()
                    assert client.call("post", post, timeout=20) == {"ordinal": ordinal, "seq": ordinal}
                for seq, text in enumerate(texts, 1):
                    event, message = client.receive(timeout=20)
                    if encoding == "binary":
                        message = {"seq": int.from_bytes(message[1:9], "big"), "text": message[21:].decode()}
                    assert (event, message["seq"], message["text"]) == ("message", seq, text), message
        print(f"ok      {name}")
    except Exception as error:  # noqa: BLE001
        failed = 1
        print(f"FAILED  {name}\n{error!r}")
sys.exit(failed)
