// The same room over several transports at once, a column each.
import { stateText, transportOptions } from "./chat.js";
import { appendLine, byId, element, milliseconds } from "./element.js";
import { RoomClient } from "./room_client.js";
import { address, request } from "./server.js";
import { TRANSPORTS } from "./transports.js";

const FIRST_COLUMNS = ["polling", "long-polling", "sse", "websocket"];
const LINES_MAX = 50;
const BURST_MS = 100;
/** A burst ends by itself, for pages that were left open. */
const BURST_POSTS_MAX = 600;
const STATS_MS = 1_000;
/** A browser opens six connections to a host and port over HTTP/1.1. One stays free for posts. */
const BROWSER_CONNECTIONS = 6;

export class Columns {
  #columns = [];
  #stop = new AbortController();
  #turn = 0;
  #burst;
  #statsTimer;

  constructor(page) {
    this.page = page;
    byId("grid").replaceChildren();
    transportOptions(byId("add"), "");
    byId("add").prepend(element("option", { value: "", textContent: "choose …", selected: true }));
    const on = (id, event, listener) => byId(id).addEventListener(event, listener, { signal: this.#stop.signal });
    on("once", "click", () => this.#writeNext());
    on("burst", "click", () => this.#toggleBurst());
    on("add", "change", ({ target }) => {
      if (target.value) this.#add(target.value);
      target.value = "";
    });
    this.#addFirst();
    this.#statsTimer = setInterval(() => this.#showStats(), STATS_MS);
    byId("once").focus();
  }

  close() {
    this.#stop.abort();
    clearInterval(this.#statsTimer);
    this.#endBurst();
    for (const column of this.#columns) column.client.cut();
  }

  presenceChanged() {
    for (const column of this.#columns) column.client.checkServer();
  }

  async #addFirst() {
    for (const name of FIRST_COLUMNS) await this.#add(name);
  }

  async #add(transport) {
    const stats = await readStats();
    if (this.#stop.signal.aborted) return;
    const origin = this.#freeOrigin(transport);
    if (!origin) {
      byId("held").textContent = `A column with ${TRANSPORTS[transport].label} needs another connection, and the browser has none left: ${this.#heldText()} Remove a column, or start the server with --page-ports 4.`;
      return;
    }
    const column = new Column(this.page, origin, transport, stats, () => this.#remove(column));
    this.#columns.push(column);
    byId("grid").append(column.root);
    this.#showHeld();
  }

  #remove(column) {
    column.client.cut();
    column.root.remove();
    this.#columns = this.#columns.filter((other) => other !== column);
    this.#showHeld();
    byId("once").focus();
  }

  #heldOn(origin) {
    return this.#columns.filter((column) => column.origin === origin).reduce((sum, { transport }) => sum + TRANSPORTS[transport].holds, 0);
  }

  /** The port with the fewest held connections, if the browser has one left for it. */
  #freeOrigin(transport) {
    const [origin] = [...this.page.origins].sort((a, b) => this.#heldOn(a) - this.#heldOn(b));
    return this.#heldOn(origin) + TRANSPORTS[transport].holds < BROWSER_CONNECTIONS ? origin : undefined;
  }

  #heldText() {
    const held = this.page.origins.map((origin) => `${this.#heldOn(origin)} of ${BROWSER_CONNECTIONS} to ${new URL(origin).host}`);
    return `this page holds ${held.join(", ")}.`;
  }

  #showHeld() {
    const lesson = "A browser opens six connections to a host and port, for all its tabs together; a waiting long poll or stream holds one of them, a WebSocket does not.";
    byId("held").textContent = `${lesson} Now ${this.#heldText()}`;
  }

  /** Lets the next connected column write. */
  #writeNext() {
    const connected = this.#columns.filter((column) => column.isConnected);
    if (connected.length === 0) return;
    this.#turn += 1;
    connected[this.#turn % connected.length].client.post(`message ${this.#turn}`);
  }

  #toggleBurst() {
    if (this.#burst) return this.#endBurst();
    let posts = 0;
    byId("burst").setAttribute("aria-pressed", "true");
    this.#burst = setInterval(() => {
      this.#writeNext();
      posts += 1;
      if (posts >= BURST_POSTS_MAX) this.#endBurst();
    }, BURST_MS);
  }

  #endBurst() {
    clearInterval(this.#burst);
    this.#burst = undefined;
    byId("burst").setAttribute("aria-pressed", "false");
  }

  async #showStats() {
    const stats = await readStats();
    if (stats) for (const column of this.#columns) column.showStats(stats);
    const slowest = Math.max(...this.#columns.map((column) => column.meanDelay));
    for (const column of this.#columns) column.showDelay(slowest);
  }
}

/** The server's counters, if it is there. */
async function readStats() {
  try {
    return await (await request(address(location.origin, "/stats"))).json();
  } catch {
    return undefined;
  }
}

class Column {
  isConnected = false;
  /** The counts when the column was added, or first seen after a restart of the server. */
  #first;
  #delays = 0;
  #delaySum = 0;

  constructor(page, origin, transport, stats, onRemove) {
    Object.assign(this, { page, origin, transport });
    const { label } = TRANSPORTS[transport];
    this.log = element("div", { className: "log", role: "log", "aria-label": `Messages over ${label}`, "aria-live": "off", tabIndex: 0 });
    this.state = element("p", { className: "state" });
    this.delay = element("p", { className: "delay-now", textContent: "–" });
    this.fill = element("div", { className: "fill" });
    this.counts = element("dl");
    const remove = element("button", { type: "button", textContent: "Remove", "aria-label": `Remove the column ${label}`, onclick: onRemove });
    const isOn = element("input", { type: "checkbox", checked: true });
    isOn.onchange = () => (isOn.checked ? this.client.restore() : this.client.cut());
    const switches = element("div", { className: "switches" }, element("label", {}, isOn, " connection"));
    this.interval = element("input", { type: "number", min: 50, max: 60_000, step: 50, value: 500 });
    this.interval.onchange = () => this.#connect();
    if (transport === "polling") switches.append(element("label", {}, "every ", this.interval, " ms"));
    this.root = element(
      "section",
      { className: "column", "aria-label": label },
      element("div", { className: "top" }, element("h2", { textContent: label }), remove),
      this.state,
      this.delay,
      element("div", { className: "track" }, this.fill),
      this.counts,
      switches,
      this.log,
    );
    this.root.dataset.transport = transport;
    if (stats) this.showStats(stats);
    this.client = new RoomClient({
      user: page.user,
      presence: page.presence,
      origin,
      on: {
        message: (message) => this.#message(message),
        notice: ({ text }) => this.#notice(page.presence.notice(text)),
        gap: ({ from, to }) => this.#notice(`messages ${from} to ${to} are gone`),
        restarted: () => this.#notice("the server was started again"),
        refused: (error) => this.#notice(error.message),
        state: (name, error) => this.#state(name, error),
      },
    });
    this.#connect();
  }

  #connect() {
    if (!this.interval.checkValidity()) this.interval.value = 500;
    this.#delays = this.#delaySum = 0;
    this.client.use(this.transport, { intervalMs: this.interval.valueAsNumber });
  }

  get meanDelay() {
    return this.#delays > 0 ? this.#delaySum / this.#delays : 0;
  }

  #message(message) {
    const delay = this.page.user.delayOf(message);
    const line = element("p", { className: "new" });
    if (delay !== undefined) {
      this.#delays += 1;
      this.#delaySum += delay;
      this.delay.textContent = milliseconds(delay);
      line.append(element("span", { className: "delay", textContent: milliseconds(delay) }));
    }
    line.append(element("span", { className: "text", textContent: message.text }));
    appendLine(this.log, line, LINES_MAX);
  }

  #notice(text) {
    if (text) appendLine(this.log, element("p", { className: "notice", textContent: text }), LINES_MAX);
  }

  #state(name, error) {
    this.isConnected = name === "connected";
    this.state.dataset.state = name;
    this.state.textContent = stateText(name, error);
  }

  /** Shows the mean delay as a bar; the column with the largest has a full one. */
  showDelay(slowest) {
    this.fill.style.width = slowest > 0 ? `${(100 * this.meanDelay) / slowest}%` : "0";
  }

  showStats({ pid, transports }) {
    const slots = TRANSPORTS[this.transport].slots ?? [this.transport];
    const sum = (value) => slots.reduce((sum, slot) => sum + value(transports[slot]), 0);
    const now = {
      requests: sum((usage) => usage.requests),
      up: sum((usage) => usage.up.total),
      down: sum((usage) => usage.down.total),
      messages: sum((usage) => usage.messages),
      batches: sum((usage) => usage.batches),
    };
    if (this.#first?.pid !== pid) this.#first = { pid, now };
    const since = (name) => now[name] - this.#first.now[name];
    const perResponse = since("batches") > 0 ? (since("messages") / since("batches")).toFixed(1) : "–";
    const mean = this.#delays > 0 ? milliseconds(this.meanDelay) : "–";
    const rows = [
      ["mean delay", mean],
      ["requests", since("requests").toLocaleString("en")],
      ["bytes up", since("up").toLocaleString("en")],
      ["bytes down", since("down").toLocaleString("en")],
      ["messages per response", perResponse],
    ];
    this.counts.replaceChildren(...rows.flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })]));
  }
}
