// The chat: one room over one transport, which can be changed while chatting.
import { appendLine, byId, element, milliseconds } from "./element.js";
import { RoomClient } from "./room_client.js";
import { TRANSPORTS } from "./transports.js";

const LINES_MAX = 500;
const STATES = { connecting: "connecting …", connected: "connected", waiting: "no connection, trying again", cut: "cut" };

export const stateText = (name, error) => (error && name === "waiting" ? `${STATES[name]} (${error.message})` : STATES[name]);

export function transportOptions(select, chosen) {
  const option = ([name, { label }]) => element("option", { value: name, textContent: label, selected: name === chosen });
  select.replaceChildren(...Object.entries(TRANSPORTS).map(option));
}

export class Chat {
  #stop = new AbortController();

  constructor({ user, presence, origins }) {
    Object.assign(this, { user, presence });
    this.log = byId("messages");
    this.log.replaceChildren();
    this.client = new RoomClient({
      user,
      presence,
      origin: origins[0],
      after: 0,
      on: {
        message: (message, isOwn) => this.#message(message, isOwn),
        notice: ({ text }) => this.#notice(presence.notice(text)),
        gap: ({ from, to }) => this.#notice(`The server no longer has messages ${from} to ${to}.`),
        restarted: () => this.#notice("The server was started again. It keeps its rooms in memory, so the room is empty."),
        refused: (error) => this.#notice(`Not accepted: ${error.message}`),
        state: (name, error) => this.#state(name, error),
      },
    });
    if (!byId("transport").value) transportOptions(byId("transport"), "websocket");
    const on = (id, event, listener) => byId(id).addEventListener(event, listener, { signal: this.#stop.signal });
    on("transport", "change", () => this.#connect());
    on("interval", "change", () => this.#connect());
    on("write", "submit", (event) => this.#write(event));
    this.#connect();
    this.#showPeople();
    byId("text").focus();
  }

  close() {
    this.#stop.abort();
    this.client.cut();
  }

  #connect() {
    const transport = byId("transport").value;
    byId("interval-field").hidden = transport !== "polling";
    const interval = byId("interval");
    if (!interval.checkValidity()) interval.value = 500;
    this.client.use(transport, { intervalMs: interval.valueAsNumber });
  }

  #write(event) {
    event.preventDefault();
    const text = byId("text").value;
    if (text.trim()) this.client.post(text);
    byId("text").value = "";
  }

  #message(message, isOwn) {
    const delay = this.user.delayOf(message);
    const name = isOwn ? this.user.name : this.presence.nameOf(message.author);
    const line = element("p", { className: isOwn ? "own" : "" });
    if (delay !== undefined) line.append(element("span", { className: "delay", textContent: milliseconds(delay), title: "from writing to showing" }));
    line.append(element("span", { className: "author", textContent: name }), " ", element("span", { className: "text", textContent: message.text }));
    appendLine(this.log, line, LINES_MAX);
  }

  #notice(text) {
    if (text) appendLine(this.log, element("p", { className: "notice", textContent: text }), LINES_MAX);
  }

  #state(name, error) {
    const state = byId("state");
    state.dataset.state = name;
    state.textContent = stateText(name, error);
  }

  presenceChanged() {
    this.client.checkServer();
    this.#showPeople();
  }

  #showPeople() {
    byId("people-count").textContent = this.presence.people.length;
    byId("people").replaceChildren(...this.presence.people.map(({ name }) => element("li", { textContent: name })));
  }
}
