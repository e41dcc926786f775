// The npm package socket.io-client with pushbench's server, and pushbench's client with the npm package
// socket.io.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { io } from "socket.io-client";
import { check, inbox, post, skip, within } from "./harness.mjs";

const texts = ["hello", "", "line\nbreak, \"quotes\", 漢字 🎈", "x".repeat(10_000)];

async function open(server, options, namespace = "") {
  const socket = io(`${server.http}${namespace}`, { forceNew: true, ...options });
  const got = inbox();
  socket.on("message", (message) => got.push(message));
  socket.on("gap", (gap) => got.push({ gap }));
  await within("the connection", once(socket, "connect"));
  return { socket, got };
}

const ask = (socket, event, data) => within(`the answer to ${event}`, socket.emitWithAck(event, data));

// The binary encoding of crates/wire/PROTOCOL.md.
function binaryPost(author, ordinal, text) {
  const head = Buffer.alloc(13);
  head[0] = 17;
  head.writeUInt32BE(author, 1);
  head.writeBigUInt64BE(BigInt(ordinal), 5);
  return Buffer.concat([head, Buffer.from(text)]);
}

const ways = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  upgrade: {},
};

export async function checkSocketIo(server, lively, forgetful) {
  for (const [way, options] of Object.entries(ways)) {
    for (const namespace of ["", "/chat"]) {
      await check(`socket.io-client ${way}, namespace "${namespace}": joins, posts, receives its own and other messages`, async () => {
        const room = `sio-${way}${namespace.replace("/", "-")}`;
        const { socket, got } = await open(server, options, namespace);
        // The upgrade may be complete already.
        const upgraded = way === "upgrade" && socket.io.engine.transport.name === "polling" ? once(socket.io.engine, "upgrade") : null;
        assert.deepEqual(await ask(socket, "join", { room }), { after: 0 });
        for (const [index, text] of texts.entries()) {
          const answer = await ask(socket, "post", { author: 7, ordinal: index + 1, text });
          assert.deepEqual(answer, { ordinal: index + 1, seq: index + 1 });
        }
        await post(server, room, "from elsewhere");
        const items = await got.until("all of it", (items) => items.length === texts.length + 1);
        assert.deepEqual(items.map(({ seq, text }) => [seq, text]), [...texts, "from elsewhere"].map((text, index) => [index + 1, text]));
        if (upgraded) await within("the upgrade", upgraded);
        assert.equal(socket.io.engine.transport.name, way === "polling" ? "polling" : "websocket");
        await post(server, room, "afterwards");
        await got.until("what comes after the upgrade", (items) => items.at(-1).text === "afterwards");
        assert.equal(await ask(socket, "leave", null), true);
        socket.disconnect();
      });
    }

    await check(`socket.io-client ${way}: binary messages in both directions`, async () => {
      const { socket, got } = await open(server, options);
      const room = `sio-binary-${way}`;
      await ask(socket, "join", { room, encoding: "binary" });
      for (const [index, text] of texts.entries()) {
        assert.equal((await ask(socket, "post", binaryPost(7, index + 1, text))).seq, index + 1);
      }
      const items = await got.until("all of it", (items) => items.length === texts.length);
      assert.deepEqual(items.map((item) => Buffer.from(item).toString("utf8", 21)), texts);
      socket.disconnect();
    });

    await check(`socket.io-client ${way}: stays connected over many heartbeats`, async () => {
      const { socket, got } = await open(lively, options);
      await ask(socket, "join", { room: "sio" });
      for (let n = 0; n < 4; n += 1) await within("a ping", once(socket.io, "ping"));
      await post(lively, "sio", `still here, ${way}`);
      await got.until("the message", (items) => items.at(-1)?.text === `still here, ${way}`);
      socket.disconnect();
    });

    await check(`socket.io-client ${way}: reconnects by itself and misses nothing with its cursor`, async () => {
      const { socket, got } = await open(server, { ...options, reconnectionDelay: 10 });
      const room = `sio-back-${way}`;
      await ask(socket, "join", { room });
      await post(server, room, "before");
      await got.until("the first", (items) => items.length === 1);
      const back = once(socket, "connect");
      socket.io.engine.close();
      await post(server, room, "meanwhile");
      await within("the second connection", back);
      await ask(socket, "join", { room, after: got.items.at(-1).seq });
      await post(server, room, "after");
      const items = await got.until("the rest", (items) => items.length === 3);
      assert.deepEqual(items.map(({ seq, text }) => [seq, text]), [[1, "before"], [2, "meanwhile"], [3, "after"]]);
      socket.disconnect();
    });

    await check(`socket.io-client ${way}: receives gaps and errors`, async () => {
      const room = `sio-gap-${way}`;
      for (let n = 1; n <= 10; n += 1) await post(forgetful, room, `${n}`);
      const { socket, got } = await open(forgetful, options);
      assert.equal((await ask(socket, "join", { room: "a room" })).field, "room");
      await ask(socket, "join", { room, after: 2 });
      const items = await got.until("the gap and the rest", (items) => items.length === 5);
      assert.deepEqual(items[0], { gap: { from: 3, to: 6 } });
      assert.deepEqual(items.slice(1).map(({ seq }) => seq), [7, 8, 9, 10]);
      socket.disconnect();
    });
  }

  await check("socket.io-client: an unknown namespace is refused", async () => {
    const socket = io(`${server.http}/nowhere`, { forceNew: true });
    const [error] = await within("the refusal", once(socket, "connect_error"));
    assert.equal(error.message, "Invalid namespace");
    socket.disconnect();
  });
}

// The PyPI package python-socketio, if a Python with it is given.
export async function checkPython(server, python) {
  const name = "python-socketio";
  if (!python) return skip(name, "there is no Python with venv and pip here, or it could not fetch the pinned client");
  for (const transports of ["polling", "websocket", "polling,websocket"]) {
    await check(`${name} ${transports}: joins, posts, receives its own messages, text and binary`, async () => {
      const script = new URL("socketio_python.py", import.meta.url).pathname;
      const child = spawn(python, [script, server.http, transports], { stdio: ["ignore", "inherit", "pipe"] });
      let said = "";
      child.stderr.on("data", (data) => (said += data));
      const [code] = await within("its end", once(child, "exit"));
      assert.equal(code, 0, said);
    });
  }
}

async function startChat(...options) {
  const child = spawn(process.execPath, [new URL("chat-server.mjs", import.meta.url).pathname, ...options], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await within("the chat server", once(createInterface({ input: child.stdout }), "line"));
  return { port: JSON.parse(line).port, stop: () => child.stdin.end() };
}

// A job may have to wait for an idle machine.
const LOAD_MAX_MS = 90_000;

const scenario = (transport) => `name = "interop"
question = "Does our client get along with other people's servers?"
budget_s = 1
slices = 1
clients = 20
rooms = 4
transports = ["${transport}"]
[posts]
per_client_per_s = 2.5
[phases]
ramp_up_s = 0.1
settle_s = 0.1
warm_up_s = 0.2
window_s = 1.5
drain_idle_s = 0.5
drain_max_s = 3.0
`;

export async function checkOurClient(binary, server) {
  for (const [transport, options] of [
    ["socketio-polling", ["300"]],
    ["socketio-websocket", ["300"]],
    ["socketio", ["300"]],
    ["socketio", ["300", "polling"]],
    ["socketio", []],
  ]) {
    const how = options.length === 0 ? "default settings" : `pings every ${options[0]} ms${options[1] ? ", no upgrades" : ""}`;
    await check(`pushbench's ${transport} client with the npm package socket.io, ${how}: nothing lost, duplicated or reordered`, async () => {
      const chat = await startChat(...options);
      const folder = mkdtempSync(join(tmpdir(), "pushbench-interop-"));
      const file = join(folder, "interop.toml");
      writeFileSync(file, scenario(transport));
      const target = ["--target", `http://127.0.0.1:${chat.port}`, "--target-tcp", server.tcp];
      const load = spawn(binary, ["load", file, ...target, "--out", folder], { stdio: ["ignore", "ignore", "pipe"] });
      let said = "";
      load.stderr.on("data", (data) => (said += data));
      await within("the load", once(load, "exit"), LOAD_MAX_MS);
      chat.stop();
      const runs = readdirSync(folder, { recursive: true }).filter((name) => /runs\/.*\.json$/.test(name));
      const records = runs.map((name) => JSON.parse(readFileSync(join(folder, name))));
      const record = records.find((record) => record.transport === transport);
      assert.ok(record, said);
      const { scheduled, received, lost, undelivered_posts, incidents } = record.ledger;
      assert.ok(scheduled > 0, said);
      assert.deepEqual([received, lost, undelivered_posts, incidents, record.faults.counts], [scheduled, 0, 0, [], {}], said);
      assert.deepEqual([record.total.accepted, record.ended], [record.total.posted, { how: "complete" }]);
      const refused = options[1] === "polling";
      assert.deepEqual([record.total.upgrades, record.total.upgrades_refused], transport !== "socketio" ? [0, 0] : refused ? [0, 20] : [20, 0]);
      if (options.length > 0) assert.ok(record.total.bytes[1][2].some((bytes) => bytes > 0), "pings came");
    }, LOAD_MAX_MS);
  }
}
