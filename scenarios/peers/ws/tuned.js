// The same, tuned: a message is framed once for all clients, and UTF-8 of incoming texts is not checked.
import { createServer } from "node:http";
import { Sender, WebSocketServer, WebSocket } from "ws";

const port = Number(process.argv[2]);
const http = createServer();
const server = new WebSocketServer({ server: http, clientTracking: false, perMessageDeflate: false, skipUTF8Validation: true });
const clients = new Map();

server.on("connection", (socket, request) => {
  clients.set(socket, request.socket);
  socket.on("close", () => clients.delete(socket));
  socket.on("error", () => socket.terminate());
  socket.on("message", (data, isBinary) => {
    const frame = Buffer.concat(
      Sender.frame(data, { fin: true, rsv1: false, mask: false, opcode: isBinary ? 2 : 1, readOnly: true }),
    );
    for (const [client, tcp] of clients) {
      if (client.readyState === WebSocket.OPEN) tcp.write(frame);
    }
  });
});

http.listen(port, "127.0.0.1", 1024, () => console.log(`listening on ${port}`));
