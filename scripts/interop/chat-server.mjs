// A small chat server on the npm package socket.io with the protocol of pushbench, for tests of
// pushbench's client. It exits when its standard input closes.
// Usage: node chat-server.mjs [ping interval in ms] [polling: refuse every upgrade]
// Prints {"port": …} when it is ready.
import { createServer } from "node:http";
import { Server } from "socket.io";

const [pingInterval, only] = process.argv.slice(2);
const usage = { connections_opened: 0, connections_open: 0, requests: 0, empty_answers: 0, posts: 0, messages: 0, batches: 0, frames: 0 };
Object.assign(usage, { socket_reads: 0, socket_writes: 0, gaps: 0, refused: 0, malformed: 0, timed_out: 0, stalled: 0 });
usage.up = usage.down = { total: 0, payload: 0, envelope: 0, framing: 0, headers: 0 };
const names = ["tcp", "polling", "long-polling", "http-streaming", "sse", "websocket", "stomp", "other"];
const process_usage = { cpu_user_us: 0, cpu_system_us: 0, resident_bytes: 0, switches_voluntary: 0, switches_involuntary: 0 };

// `pushbench load` needs /stats; this server has no counters and returns zeros.
const http = createServer((request, response) => {
  const transports = Object.fromEntries([...names, "socketio", "socketio-polling", "socketio-websocket"].map((name) => [name, usage]));
  const hub = { rooms: 0, readers: 0, log_messages: 0, log_bytes: 0 };
  const reading = { version: "0", pid: process.pid, uptime_us: Math.round(performance.now() * 1000), metered: false };
  Object.assign(reading, { connections_open: 0, accept_errors: 0, process: process_usage, hub, transports });
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(reading));
});
const io = new Server(http, {
  ...(pingInterval ? { pingInterval: Number(pingInterval) } : {}),
  ...(only ? { transports: [only] } : {}),
});

const rooms = new Map();
io.on("connection", (socket) => {
  let joined;
  socket.on("join", ({ room, after }, ack) => {
    if (!rooms.has(room)) rooms.set(room, []);
    joined = { room, log: rooms.get(room) };
    after ??= joined.log.length;
    ack({ after });
    joined.log.slice(after).forEach((message) => socket.emit("message", message));
    socket.join(room);
  });
  socket.on("post", (post, ack) => {
    const message = { seq: joined.log.length + 1, ...post };
    joined.log.push(message);
    ack({ ordinal: post.ordinal, seq: message.seq });
    io.to(joined.room).emit("message", message);
  });
});

http.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: http.address().port })));
process.stdin.resume().on("end", () => process.exit(0));
