// The npm package eventsource, which behaves as browsers do, with `sse`.
import assert from "node:assert/strict";
import { EventSource } from "eventsource";
import { check, inbox, post } from "./harness.mjs";

function open(server, room, query = "") {
  const source = new EventSource(`${server.http}/rooms/${room}/sse${query}`);
  const got = inbox();
  let opened = 0;
  source.onopen = () => (opened += 1);
  source.onmessage = (event) => got.push({ ...JSON.parse(event.data), id: event.lastEventId });
  const named = (name) => (event) => got.push({ [name]: JSON.parse(event.data)[name], id: event.lastEventId });
  source.addEventListener("joined", named("joined"));
  source.addEventListener("gap", named("gap"));
  return { source, got, opened: () => opened };
}

export async function checkSse(server, shortLived, forgetful) {
  await check("eventsource: joins, receives messages, and ids are the seq", async () => {
    const { source, got } = open(server, "es");
    await got.until("the join", (items) => items.length === 1);
    await post(server, "es", "hello");
    await post(server, "es", "line\nbreak, \"quotes\", 漢字 🎈", "sse");
    const [joined, first, second] = await got.until("two messages", (items) => items.length === 3);
    assert.deepEqual(joined, { joined: { after: 0 }, id: "0" });
    assert.deepEqual([first.text, first.seq, first.id], ["hello", 1, "1"]);
    assert.deepEqual([second.text, second.seq, second.id], ["line\nbreak, \"quotes\", 漢字 🎈", 2, "2"]);
    source.close();
  });

  await check("eventsource: reconnects by itself when the stream ends, and misses nothing", async () => {
    const { source, got, opened } = open(shortLived, "es");
    await got.until("the join", (items) => items.length === 1);
    const messages = (items) => items.filter((item) => item.seq);
    while (opened() < 3) await post(shortLived, "es", "again"), await new Promise((resolve) => setTimeout(resolve, 20));
    const last = await post(shortLived, "es", "the last");
    const seqs = messages(await got.until("the last", (items) => messages(items).length >= last)).map((item) => item.seq);
    assert.deepEqual(seqs, Array.from({ length: last }, (_, index) => index + 1));
    source.close();
  });

  await check("eventsource: receives a gap whose id is the cursor after it", async () => {
    for (let n = 1; n <= 10; n += 1) await post(forgetful, "es", `${n}`);
    const { source, got } = open(forgetful, "es", "?after=2");
    const items = await got.until("the gap and what is left", (items) => items.length === 6);
    assert.deepEqual(items[1], { gap: { from: 3, to: 6 }, id: "6" });
    assert.deepEqual(items.slice(2).map((item) => item.seq), [7, 8, 9, 10]);
    source.close();
  });

  await check("eventsource: a refusal has its status and ends the source", async () => {
    for (const [path, status] of [["/rooms/a%20room/sse", 400], ["/rooms/es/sse?after=99999", 400], ["/nowhere", 404]]) {
      const source = new EventSource(`${server.http}${path}`);
      const error = await new Promise((resolve) => (source.onerror = resolve));
      assert.deepEqual([error.code, source.readyState], [status, EventSource.CLOSED]);
    }
  });
}
