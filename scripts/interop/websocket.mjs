// The npm package ws with `websocket`: both encodings, control frames, close codes, refusals.
import assert from "node:assert/strict";
import { once } from "node:events";
import { WebSocket } from "ws";
import { check, inbox, post } from "./harness.mjs";

async function open(server, path, options) {
  const socket = new WebSocket(`${server.ws}${path}`, options);
  const got = inbox();
  socket.on("message", (data, isBinary) => got.push(isBinary ? readBinary(data) : JSON.parse(data.toString())));
  await once(socket, "open");
  return { socket, got };
}

// The binary encoding of crates/wire/PROTOCOL.md.
function readBinary(data) {
  const u64 = (at) => Number(data.readBigUInt64BE(at));
  switch (data[0]) {
    case 1:
      return { seq: u64(1), author: data.readUInt32BE(9), ordinal: u64(13), text: data.toString("utf8", 21) };
    case 3:
      return { ack: { ordinal: u64(1), seq: u64(9) } };
    case 4:
      return { joined: { after: u64(1) } };
    default:
      throw new Error(`no kind ${data[0]} expected`);
  }
}

function binaryPost(author, ordinal, text) {
  const head = Buffer.alloc(13);
  head[0] = 17;
  head.writeUInt32BE(author, 1);
  head.writeBigUInt64BE(BigInt(ordinal), 5);
  return Buffer.concat([head, Buffer.from(text)]);
}

async function closeCode(socket) {
  const [code] = await once(socket, "close");
  return code;
}

export async function checkWebSocket(server, lively) {
  const texts = ["hello", "", "line\nbreak, \"quotes\", 漢字 🎈", "x".repeat(10_000)];
  const posts = {
    json: (ordinal, text) => JSON.stringify({ author: 7, ordinal, text }),
    binary: (ordinal, text) => binaryPost(7, ordinal, text),
  };
  for (const [encoding, encode] of Object.entries(posts)) {
    await check(`ws ${encoding}: joins, posts, receives acknowledgements, its own and other messages`, async () => {
      const room = `ws-${encoding}`;
      const { socket, got } = await open(server, `/rooms/${room}/websocket?encoding=${encoding}`);
      assert.equal(socket.extensions, "");
      texts.forEach((text, index) => socket.send(encode(index + 1, text)));
      await got.until("all of it", (items) => items.length === 1 + 2 * texts.length);
      await post(server, room, "from elsewhere");
      const items = await got.until("the other's", (items) => items.length === 2 + 2 * texts.length);
      assert.deepEqual(items[0], { joined: { after: 0 } });
      const expected = texts.map((text, index) => ({ seq: index + 1, author: 7, ordinal: index + 1, text }));
      const heard = items.filter((item) => item.seq);
      assert.deepEqual(heard.slice(0, -1), expected);
      assert.equal(heard.at(-1).text, "from elsewhere");
      const acks = items.filter((item) => item.ack).map((item) => item.ack);
      assert.deepEqual(acks, expected.map(({ ordinal, seq }) => ({ ordinal, seq })));
      const closed = closeCode(socket);
      socket.close(1000, "done");
      assert.equal(await closed, 1000);
    });
  }

  await check("ws: a client starts at its cursor", async () => {
    const { socket, got } = await open(server, "/rooms/ws-json/websocket?after=3");
    const items = await got.until("the rest", (items) => items.length === 3);
    assert.deepEqual(items.slice(1).map((item) => item.seq), [4, 5]);
    socket.terminate();
  });

  await check("ws: a fragmented message is one post", async () => {
    const { socket, got } = await open(server, "/rooms/ws-fragments/websocket");
    const whole = posts.json(1, "in three pieces");
    socket.send(whole.slice(0, 5), { fin: false });
    socket.send(whole.slice(5, 20), { fin: false });
    socket.ping("between");
    const [pong] = await Promise.all([once(socket, "pong"), socket.send(whole.slice(20), { fin: true })]);
    assert.equal(pong[0].toString(), "between");
    await got.until("the message", (items) => items.some((item) => item.text === "in three pieces"));
    socket.terminate();
  });

  await check("ws: idle clients get pings and stay connected while they answer", async () => {
    const { socket, got } = await open(lively, "/rooms/ws/websocket");
    for (let n = 0; n < 4; n += 1) await once(socket, "ping");
    await post(lively, "ws", "still here");
    await got.until("the message", (items) => items.some((item) => item.text === "still here"));
    socket.terminate();
  });

  const bad = [
    ["too big", 1009, (socket) => socket.send(posts.json(1, "x".repeat(17_000)))],
    ["far too big", 1009, (socket) => socket.send("x".repeat(1_000_000))],
    ["not UTF-8", 1007, (socket) => socket.send(Buffer.from([0xff]), { binary: false })],
    ["no JSON", 1008, (socket) => socket.send("hello")],
    ["another encoding", 1003, (socket) => socket.send(binaryPost(1, 1, "x"))],
  ];
  for (const [what, code, send] of bad) {
    await check(`ws: a message that is ${what} is closed with ${code}`, async () => {
      const { socket } = await open(server, "/rooms/ws-bad/websocket");
      const closed = closeCode(socket);
      send(socket);
      assert.equal(await closed, code);
    });
  }

  const refused = [
    ["/rooms/a%20room/websocket", {}, 400],
    ["/rooms/ws/websocket?after=99999", {}, 400],
    ["/rooms/ws/websocket", { origin: "http://evil.example" }, 403],
    ["/nowhere", {}, 404],
    ["/rooms/ws/sse", { headers: { "last-event-id": "x" } }, 400],
    ["/rooms/ws/websocket", { protocolVersion: 8 }, 426],
  ];
  for (const [path, options, status] of refused) {
    await check(`ws: ${path} ${JSON.stringify(options)} is refused with ${status}`, async () => {
      const socket = new WebSocket(`${server.ws}${path}`, options);
      socket.on("error", () => {});
      const [, answer] = await once(socket, "unexpected-response");
      assert.equal(answer.statusCode, status);
      socket.terminate();
    });
  }
}

export async function checkGoodbye(server) {
  await check("ws: a stopping server closes with 1001 and exits with 0", async () => {
    const { socket } = await open(server, "/rooms/ws/websocket");
    const [code, exit] = await Promise.all([closeCode(socket), server.stop()]);
    assert.deepEqual([code, exit], [1001, 0]);
  });
}
