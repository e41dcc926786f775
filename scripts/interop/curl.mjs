// curl with the transports that are plain HTTP.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { check, skip } from "./harness.mjs";

const run = promisify(execFile);

// Returns status, headers and body; throws if curl fails.
async function curl(...flags) {
  const { stdout } = await run("curl", ["-sS", "--noproxy", "*", "-i", ...flags], { maxBuffer: 1 << 24 });
  const end = stdout.indexOf("\r\n\r\n");
  const [first, ...lines] = stdout.slice(0, end).split("\r\n");
  const headers = Object.fromEntries(lines.map((line) => [line.split(": ")[0].toLowerCase(), line.slice(line.indexOf(": ") + 2)]));
  return { status: Number(first.split(" ")[1]), headers, body: stdout.slice(end + 4) };
}

const lines = (body) => body.split("\n").filter(Boolean).map((line) => JSON.parse(line));

export async function checkCurl(server, shortLived) {
  try {
    await run("curl", ["--version"]);
  } catch {
    return skip("curl", "it is not installed");
  }
  const url = (transport, query = "") => `${server.http}/rooms/curl/${transport}${query}`;
  const say = (transport, text) => curl("-d", JSON.stringify({ author: 1, ordinal: 1, text }), url(transport));

  await check("curl: polling gets a cursor, posts, and gets new messages", async () => {
    const joined = await curl(url("polling"));
    assert.deepEqual([joined.status, joined.headers["pushbench-cursor"], joined.body], [204, "0", ""]);
    const posted = await say("polling", "hello");
    assert.deepEqual([posted.status, JSON.parse(posted.body)], [200, { ordinal: 1, seq: 1 }]);
    const news = await curl(url("polling", "?after=0"));
    assert.deepEqual([news.status, lines(news.body)], [200, [{ seq: 1, author: 1, ordinal: 1, text: "hello" }]]);
    assert.equal((await curl(url("polling", "?after=1"))).status, 204);
    assert.equal((await curl("-H", "Connection: close", url("polling", "?after=0"))).status, 200);
    assert.equal((await curl("--http1.0", url("polling", "?after=0"))).status, 200);
  });

  await check("curl: long polling waits for a message and until the hold time ends", async () => {
    assert.equal((await curl(url("long-polling", "?after=1&hold_ms=50"))).status, 204);
    const held = curl(url("long-polling", "?after=1"));
    await say("long-polling", "at last");
    const answer = await held;
    assert.deepEqual([answer.status, lines(answer.body).map((message) => message.text)], [200, ["at last"]]);
  });

  await check("curl: HTTP streaming sends one line per message and ends correctly", async () => {
    const streamUrl = `${shortLived.http}/rooms/curl/http-streaming?after=0`;
    await curl("-d", '{"author":1,"ordinal":1,"text":"hello"}', streamUrl.split("?")[0]);
    const stream = await curl("-N", streamUrl);
    assert.equal(stream.headers["transfer-encoding"], "chunked");
    assert.deepEqual(lines(stream.body), [{ joined: { after: 0 } }, { seq: 1, author: 1, ordinal: 1, text: "hello" }]);
    // HTTP/1.0 has no chunked encoding.
    assert.equal((await curl("-N", "--http1.0", streamUrl)).status, 400);
  });

  await check("curl: SSE follows the standard", async () => {
    const stream = await curl("-N", `${shortLived.http}/rooms/curl/sse?after=0`);
    assert.equal(stream.headers["content-type"], "text/event-stream");
    assert.match(stream.body, /^retry: \d+\nevent: joined\nid: 0\ndata: .*\n\nid: 1\ndata: \{"seq":1,.*\}\n\n/);
  });

  await check("curl: refusals have an error body", async () => {
    const big = await curl("-d", JSON.stringify({ author: 1, ordinal: 1, text: "x".repeat(20_000) }), url("polling"));
    assert.deepEqual([big.status, JSON.parse(big.body).field], [413, "text"]);
    const method = await curl("-X", "DELETE", url("polling"));
    assert.deepEqual([method.status, method.headers.allow], [405, "GET,HEAD,POST"]);
    const upgrade = await curl(url("websocket"));
    assert.deepEqual([upgrade.status, upgrade.headers.upgrade], [426, "websocket"]);
    assert.equal((await curl("-I", url("polling", "?after=0"))).status, 200);
  });
}
