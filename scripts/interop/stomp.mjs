// The npm package @stomp/stompjs with `stomp`.
import assert from "node:assert/strict";
import { Client } from "@stomp/stompjs";
import { WebSocket } from "ws";
import { check, inbox, post, within } from "./harness.mjs";

Object.assign(globalThis, { WebSocket });

async function open(server, path, options = {}) {
  const got = inbox();
  const client = new Client({ brokerURL: `${server.ws}${path}`, reconnectDelay: 0, ...options });
  const connected = new Promise((resolve) => (client.onConnect = resolve));
  const error = new Promise((resolve) => (client.onStompError = resolve));
  client.activate();
  const frame = await within("CONNECTED", connected);
  return { client, got, frame, error };
}

const subscribe = ({ client, got }, headers = {}) =>
  client.subscribe("/messages", (message) => got.push({ ...JSON.parse(message.body), id: message.headers["message-id"] }), headers);

export async function checkStomp(server, lively) {
  for (const id of [undefined, "mine"]) {
    await check(`stompjs: joins, posts with receipts, receives its own and other messages, subscription ${id ?? "by default"}`, async () => {
      const room = `stomp-${id}`;
      const session = await open(server, `/rooms/${room}/stomp`);
      assert.equal(session.frame.headers.version, "1.2");
      subscribe(session, id ? { id } : {});
      await session.got.until("the join", (items) => items.length === 1);
      for (const [index, text] of ["hello", "line\nbreak: \\ 漢字 🎈"].entries()) {
        const receipt = `post:${index}`;
        const answered = new Promise((resolve) => session.client.watchForReceipt(receipt, resolve));
        const body = JSON.stringify({ author: 7, ordinal: index + 1, text });
        session.client.publish({ destination: "/messages", body, headers: { receipt } });
        assert.equal((await within("the receipt", answered)).headers.seq, `${index + 1}`);
      }
      await post(server, room, "from elsewhere");
      const items = await session.got.until("all of it", (items) => items.length === 4);
      assert.deepEqual(items[0].joined, { after: 0 });
      assert.deepEqual(items.slice(1).map(({ seq, text, id }) => [seq, text, id]), [
        [1, "hello", "1"],
        [2, "line\nbreak: \\ 漢字 🎈", "2"],
        [3, "from elsewhere", "3"],
      ]);
      await session.client.deactivate();
    });
  }

  await check("stompjs: reconnects with its cursor and misses nothing", async () => {
    const session = await open(server, "/rooms/stomp-mine/stomp?after=1");
    subscribe(session);
    const items = await session.got.until("the rest", (items) => items.length === 3);
    assert.deepEqual(items.slice(1).map(({ seq }) => seq), [2, 3]);
    await session.client.deactivate();
  });

  await check("stompjs: heartbeats in both directions keep the connection", async () => {
    const beats = { heartbeatIncoming: 50, heartbeatOutgoing: 50 };
    const session = await open(lively, "/rooms/stomp/stomp", beats);
    subscribe(session);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await post(lively, "stomp", "still here");
    await session.got.until("the message", (items) => items.at(-1)?.text === "still here");
    await session.client.deactivate();
  });

  await check("stompjs: receives an ERROR for a wrong destination", async () => {
    const session = await open(server, "/rooms/stomp/stomp");
    session.client.publish({ destination: "/elsewhere", body: "x" });
    const frame = await within("the ERROR", session.error);
    assert.equal(JSON.parse(frame.body).field, "destination");
    await session.client.deactivate();
  });
}
