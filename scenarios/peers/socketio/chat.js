// A chat with rooms, nicknames, acknowledgements, and the last messages of each room for reconnecting
// clients. It has the events of pushbench's server: `join` and `post` up, `message` down.

const KEPT = 1024;

export function chat(io) {
  const rooms = new Map();
  const room = (name) => {
    if (!rooms.has(name)) rooms.set(name, { name, seq: 0, log: [] });
    return rooms.get(name);
  };

  io.on("connection", (socket) => {
    let here;

    socket.on("join", ({ room: name, after, nickname }, answer) => {
      if (here) socket.leave(here.name);
      here = room(name);
      socket.join(name);
      const from = after ?? here.seq;
      answer({ after: from });
      for (const message of here.log) {
        if (message.seq > from) socket.emit("message", message);
      }
      if (nickname) {
        socket.data.nickname = nickname;
        socket.to(name).emit("joined", nickname);
      }
    });

    socket.on("post", ({ author, ordinal, text }, answer) => {
      if (!here) return answer({ code: "not-in-a-room", message: "join a room first" });
      const message = { seq: ++here.seq, author, ordinal, text };
      here.log.push(message);
      if (here.log.length > 2 * KEPT) here.log.splice(0, here.log.length - KEPT);
      io.to(here.name).emit("message", message);
      answer({ ordinal, seq: message.seq });
    });

    socket.on("leave", (answer) => {
      if (here) socket.leave(here.name);
      here = undefined;
      answer(true);
    });

    socket.on("disconnect", () => {
      if (here && socket.data.nickname) io.to(here.name).emit("left", socket.data.nickname);
    });
  });
}
