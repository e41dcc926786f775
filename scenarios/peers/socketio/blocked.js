// The chat with default settings, with every WebSocket refused.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { chat } from "./chat.js";

const port = Number(process.argv[2]);
const http = createServer();
chat(new Server(http));
http.removeAllListeners("upgrade");
http.on("upgrade", (request, socket) => {
  socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
});
http.listen(port, "127.0.0.1", () => console.log(`listening on ${port}`));
