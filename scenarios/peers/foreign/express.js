// A chat on Express: a route of server-sent events, long polling with `since`, and a route to post.
import express from "express";

const KEPT = 1024;
const port = Number(process.argv[2]);
// Nanoseconds of work for each event, to test whether a gate finds them.
const extra = BigInt(process.argv[3] ?? 0);
const app = express();
app.use(express.json());

const rooms = new Map();
const room = (name) => {
  if (!rooms.has(name)) rooms.set(name, { last: 0, log: [], streams: new Set(), held: new Set() });
  return rooms.get(name);
};

const work = () => {
  const end = process.hrtime.bigint() + extra;
  while (process.hrtime.bigint() < end);
};

app.get("/rooms/:room/events", (request, response) => {
  const { streams } = room(request.params.room);
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  response.flushHeaders();
  streams.add(response);
  request.on("close", () => streams.delete(response));
});

app.get("/rooms/:room/messages", (request, response) => {
  const here = room(request.params.room);
  const since = request.query.since ? Number(request.query.since) : here.last;
  const answer = () => response.json({ last: here.last, messages: here.log.filter(({ id }) => id > since) });
  if (here.last > since) return answer();
  const timer = setTimeout(() => done(), 20_000);
  const done = () => {
    clearTimeout(timer);
    here.held.delete(done);
    answer();
  };
  here.held.add(done);
  response.on("close", () => here.held.delete(done));
});

app.post("/rooms/:room/messages", (request, response) => {
  const here = room(request.params.room);
  const message = { id: ++here.last, from: request.body.from, text: request.body.text };
  here.log.push(message);
  if (here.log.length > 2 * KEPT) here.log.splice(0, here.log.length - KEPT);
  const event = `id: ${message.id}\ndata: ${JSON.stringify(message)}\n\n`;
  here.streams.forEach((stream) => {
    stream.write(event);
    if (extra > 0n) work();
  });
  [...here.held].forEach((done) => done());
  response.status(201).json({ id: message.id });
});

const server = app.listen(port, "127.0.0.1", () => console.log(`listening on ${port}`));
server.keepAliveTimeout = 60_000;
