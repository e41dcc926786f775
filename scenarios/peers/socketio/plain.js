// The chat with default settings.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { chat } from "./chat.js";

const port = Number(process.argv[2]);
const http = createServer();
chat(new Server(http));
http.listen(port, "127.0.0.1", () => console.log(`listening on ${port}`));
