// The transports that a browser can use. Each opens a link: `post` sends a post and waits for its
// acknowledgement, `close` ends it without a further call.
//
// `at` is where a link belongs: `url` and `room`, `cursor()`, `options`, and what it calls: `up` when
// messages can arrive, `item` for each item (PROTOCOL.md, Items), `down` with an error when it has ended.
import { postJson, request, Refused, token } from "./server.js";

const ACK_MS_MAX = 10_000;

/** Label, the HTTP connections that a client holds while it waits, and the server's counters if they have other names. */
export const TRANSPORTS = {
  polling: { label: "Polling", holds: 0, open: pollLoop("polling", (at) => at.options.intervalMs) },
  "long-polling": { label: "Long polling", holds: 1, open: pollLoop("long-polling", () => 0) },
  "http-streaming": { label: "HTTP streaming", holds: 1, open: httpStreaming },
  sse: { label: "SSE", holds: 1, open: sse },
  websocket: { label: "WebSocket", holds: 0, open: webSocket },
  socketio: { label: "Socket.IO", holds: 0, open: socketIo, slots: ["socketio", "socketio-polling"] },
  stomp: { label: "STOMP", holds: 0, open: stomp },
};

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const lost = () => new Error("the connection has ended");

/** Posts of transports whose messages come in responses: each is a request of its own. */
const posting = (at, name, signal) => (post) => postJson(at.url(name), post, signal);

function pollLoop(name, intervalMs) {
  return async (at) => {
    const stop = new AbortController();
    const loop = async () => {
      // The first long poll is not held: its answer shows that the server is there.
      for (let hold = 0; ; hold = undefined) {
        const asked = performance.now();
        const parameters = { after: at.cursor(), hold_ms: name === "long-polling" ? hold : undefined };
        const response = await request(at.url(name, parameters), { signal: stop.signal });
        const lines = response.status === 200 ? (await response.text()).split("\n") : [];
        at.up();
        for (const line of lines.filter(Boolean)) at.item(JSON.parse(line));
        const cursor = response.headers.get("pushbench-cursor");
        if (at.cursor() === undefined) at.item({ joined: { after: Number(cursor) } });
        await pause(Math.max(0, intervalMs(at) - (performance.now() - asked)));
        if (stop.signal.aborted) return;
      }
    };
    loop().catch((error) => stop.signal.aborted || at.down(error));
    return { post: posting(at, name, stop.signal), close: () => stop.abort() };
  };
}

async function httpStreaming(at) {
  const stop = new AbortController();
  const read = async () => {
    const response = await request(at.url("http-streaming", { after: at.cursor() }), { signal: stop.signal });
    at.up();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ; ) {
      const { done, value } = await reader.read();
      if (done) throw lost();
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines.filter(Boolean)) at.item(JSON.parse(line));
    }
  };
  read().catch((error) => stop.signal.aborted || at.down(error));
  return { post: posting(at, "http-streaming", stop.signal), close: () => stop.abort() };
}

async function sse(at) {
  const stop = new AbortController();
  const source = new EventSource(at.url("sse", { after: at.cursor() }));
  for (const name of ["message", "joined", "gap", "reset"]) source.addEventListener(name, ({ data }) => at.item(JSON.parse(data)));
  source.onopen = () => at.up();
  // An EventSource reconnects by itself. Here it does not, so that the page can look first whether the
  // server is a new one.
  source.onerror = () => (source.close(), at.down(lost()));
  return { post: posting(at, "sse", stop.signal), close: () => (source.close(), stop.abort()) };
}

/** Posts that wait for an acknowledgement on the same connection, by ordinal. */
class Unacknowledged {
  #waiting = new Map();

  sent(ordinal) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(ordinal, (waiting) => waiting.reject(new Error("no acknowledgement"))), ACK_MS_MAX);
      this.#waiting.set(ordinal, { resolve, reject, timer });
    });
  }

  acknowledged(ordinal) {
    this.#settle(ordinal, (waiting) => waiting.resolve());
  }

  fail(error) {
    for (const ordinal of [...this.#waiting.keys()]) this.#settle(ordinal, (waiting) => waiting.reject(error));
  }

  #settle(ordinal, end) {
    const waiting = this.#waiting.get(ordinal);
    if (!waiting) return;
    clearTimeout(waiting.timer);
    this.#waiting.delete(ordinal);
    end(waiting);
  }
}

const inWebSocketScheme = (url) => Object.assign(url, { protocol: url.protocol.replace("http", "ws") });

async function webSocket(at) {
  const socket = new WebSocket(inWebSocketScheme(at.url("websocket", { after: at.cursor() })));
  const unacknowledged = new Unacknowledged();
  socket.onopen = () => at.up();
  socket.onmessage = ({ data }) => {
    const item = JSON.parse(data);
    if (item.ack) unacknowledged.acknowledged(item.ack.ordinal);
    else at.item(item);
  };
  socket.onclose = ({ code, reason }) => {
    unacknowledged.fail(code === 1008 || code === 1009 ? new Refused(code, { error: reason }) : lost());
    at.down(lost());
  };
  const post = (post) => (socket.send(JSON.stringify(post)), unacknowledged.sent(post.ordinal));
  return { post, close: () => ((socket.onclose = null), unacknowledged.fail(lost()), socket.close()) };
}

/** Emits an event, and waits for its acknowledgement. */
async function emit(socket, event, value) {
  const answer = await socket.timeout(ACK_MS_MAX).emitWithAck(event, value);
  if (answer.error) throw new Refused(400, answer);
  return answer;
}

async function socketIo(at) {
  await import("/socket.io/socket.io.js");
  const socket = globalThis.io(at.url("").origin, { auth: { token: token.get() || undefined }, forceNew: true, reconnection: false });
  const down = (error) => (socket.disconnect(), at.down(error));
  socket.on("connect", () => {
    const joined = (after) => (at.item({ joined: after }), at.up());
    emit(socket, "join", { room: at.room, after: at.cursor() }).then(joined, down);
  });
  socket.on("message", (message) => at.item(message));
  socket.on("gap", (gap) => at.item({ gap }));
  socket.on("connect_error", down);
  socket.on("disconnect", () => at.down(lost()));
  return { post: (post) => emit(socket, "post", post), close: () => (socket.off(), socket.disconnect()) };
}

async function stomp(at) {
  await import("/page/stomp.js");
  const unacknowledged = new Unacknowledged();
  let closed = false;
  const down = (error) => {
    unacknowledged.fail(error);
    if (!closed) at.down(error);
    closed = true;
    client.deactivate({ force: true });
  };
  const client = new globalThis.StompJs.Client({
    brokerURL: inWebSocketScheme(at.url("stomp", { after: at.cursor() })).href,
    reconnectDelay: 0,
    onConnect: () => {
      client.subscribe("/messages", ({ body }) => at.item(JSON.parse(body)));
      at.up();
    },
    onStompError: ({ body }) => down(new Refused(400, JSON.parse(body || "{}"))),
    onWebSocketClose: () => down(lost()),
  });
  client.activate();
  const post = (post) => {
    const receipt = `${post.ordinal}`;
    client.watchForReceipt(receipt, () => unacknowledged.acknowledged(post.ordinal));
    client.publish({ destination: "/messages", body: JSON.stringify(post), headers: { receipt } });
    return unacknowledged.sent(post.ordinal);
  };
  return { post, close: () => ((closed = true), unacknowledged.fail(lost()), client.deactivate({ force: true })) };
}
