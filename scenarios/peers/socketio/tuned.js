// The chat, tuned as the documentation of socket.io advises: WebSocket only, no compression, and the
// handshake request is released.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { chat } from "./chat.js";

const port = Number(process.argv[2]);
const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
});
io.engine.on("connection", (socket) => {
  socket.request = null;
});
chat(io);
http.listen(port, "127.0.0.1", 1024, () => console.log(`listening on ${port}`));
