// A chat as tutorials of Socket.IO build it: served by Express, with rooms, nicknames and an
// acknowledgement for entering a room. A message goes to the others of the room.
import { createServer } from "node:http";
import express from "express";
import { Server } from "socket.io";

const port = Number(process.argv[2]);
const app = express();
app.get("/", (_, response) => response.send("<h1>Chat</h1>"));
const http = createServer(app);
const io = new Server(http);

io.on("connection", (socket) => {
  socket.data.nickname = "anonymous";
  socket.on("enter_room", (room, done) => {
    socket.join(room);
    done();
    socket.to(room).emit("welcome", socket.data.nickname, io.sockets.adapter.rooms.get(room)?.size);
  });
  socket.on("nickname", (nickname) => (socket.data.nickname = nickname));
  socket.on("new_message", (message, room, done) => {
    socket.to(room).emit("new_message", `${socket.data.nickname}: ${message}`);
    done();
  });
  socket.on("disconnecting", () => {
    socket.rooms.forEach((room) => socket.to(room).emit("bye", socket.data.nickname));
  });
});

http.listen(port, "127.0.0.1", () => console.log(`listening on ${port}`));
