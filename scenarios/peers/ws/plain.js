// Sends every text to all clients including the sender: the example of the documentation of ws, with
// default settings.
import { WebSocketServer, WebSocket } from "ws";

const port = Number(process.argv[2]);
const server = new WebSocketServer({ host: "127.0.0.1", port });

server.on("connection", (socket) => {
  socket.on("error", () => socket.terminate());
  socket.on("message", (data, isBinary) => {
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
    }
  });
});

server.on("listening", () => console.log(`listening on ${port}`));
