"""A chat on Starlette: a WebSocket for each member of a room, JSON in both directions."""
import sys
from collections import defaultdict

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect

rooms = defaultdict(set)


async def chat(socket):
    await socket.accept()
    members = rooms[socket.path_params["room"]]
    members.add(socket)
    try:
        await socket.send_json({"joined": True})
        while True:
            message = await socket.receive_json()
            for member in list(members):
                await member.send_json({"from": message["from"], "text": message["text"]})
    except WebSocketDisconnect:
        pass
    finally:
        members.discard(socket)


app = Starlette(routes=[WebSocketRoute("/chat/{room}", chat)])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
