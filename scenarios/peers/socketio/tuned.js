// The chat tuned as the library's own pages advise: WebSocket alone, no compression, nothing kept of the handshake.
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
