// Who is in the room: reports this page to the server, and keeps the names of all others.
import { address, postJson, roomPath } from "./server.js";

/** The server's notices are messages of this author. */
export const NOTICE_AUTHOR = 0xffffffff;
const REPORT_MS = 20_000;
const AFTER_NOTICE_MS = 200;

export class Presence {
  people = [];
  /** Identifies the running server. */
  server = undefined;
  #names = new Map();
  #running;
  #soon;
  #timer;

  constructor(user, room, onChange) {
    Object.assign(this, { user, room, onChange });
    this.#timer = setInterval(() => this.#reportQuietly(), REPORT_MS);
  }

  /** Reports the user. Calls at the same time share one request. */
  report() {
    this.#running ??= this.#send(this.user.name).finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #send(name) {
    const { server, people } = await postJson(this.#url(), { author: this.user.author, name });
    Object.assign(this, { server, people });
    for (const person of people) this.#names.set(person.author, person.name);
    this.onChange();
  }

  #reportQuietly() {
    this.report().catch(() => {});
  }

  /** The name of an author, as far as it is known. */
  nameOf(author) {
    return this.#names.get(author) ?? `author ${author}`;
  }

  /** Returns a notice as a sentence, and asks soon who is there: it may be one of the past. */
  notice(text) {
    const { joined, left } = parsed(text);
    const person = joined ?? left;
    if (!Number.isInteger(person?.author) || typeof person.name !== "string") return undefined;
    const before = this.#names.get(person.author);
    this.#names.set(person.author, person.name);
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => this.#reportQuietly(), AFTER_NOTICE_MS);
    if (left) return `${person.name} left`;
    return before && before !== person.name ? `${before} is now ${person.name}` : `${person.name} came`;
  }

  /** Reports no more. */
  stop() {
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
  }

  /** Leaves the room. Works while the page is closed, too. */
  leave() {
    navigator.sendBeacon(this.#url(), JSON.stringify({ author: this.user.author, name: null }));
  }

  #url() {
    return address(location.origin, roomPath(this.room, "presence"));
  }
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
