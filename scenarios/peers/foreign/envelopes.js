// A chat on ws with JSON envelopes: one room, everybody receives every message.
import { WebSocket, WebSocketServer } from "ws";

const port = Number(process.argv[2]);
const server = new WebSocketServer({ host: "127.0.0.1", port });

server.on("connection", (socket) => {
  let nickname = "anonymous";
  socket.on("error", () => socket.terminate());
  socket.on("message", (data) => {
    const { type, payload } = JSON.parse(data);
    if (type === "nickname") {
      nickname = payload;
      socket.send(JSON.stringify({ type: "hello", payload: nickname }));
    } else if (type === "new_message") {
      const text = JSON.stringify({ type: "new_message", payload: { from: nickname, text: payload } });
      for (const client of server.clients) {
        if (client.readyState === WebSocket.OPEN) client.send(text);
      }
    }
  });
});

server.on("listening", () => console.log(`listening on ${port}`));
