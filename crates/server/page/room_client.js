// One client of a room, over one transport at a time. It keeps its cursor, so that it loses no message
// when it reconnects or changes its transport, and its posts until they are acknowledged.
import { NOTICE_AUTHOR } from "./presence.js";
import { Refused, address, roomPath } from "./server.js";
import { TRANSPORTS } from "./transports.js";

const RECONNECT_MS = { first: 100, max: 5_000 };
const REPEAT_POST_MS = 500;
const KNOWN_MAX = 10_000;

export class RoomClient {
  #cursor;
  #server;
  #link;
  #isUp = false;
  #isPosting = false;
  #attempt = 0;
  #reconnectMs = RECONNECT_MS.first;
  #timer;
  #unsent = [];
  #known = new Set();

  /**
   * `after`: the cursor to start with, undefined for new messages only. `on` has the functions
   * `message(message, isOwn)`, `notice(message)`, `gap(gap)`, `restarted()`, `refused(error)` and
   * `state(name, error)` with the names `connecting`, `connected`, `waiting` and `cut`.
   */
  constructor({ user, presence, origin, after, on }) {
    Object.assign(this, { user, presence, origin, on });
    this.#cursor = after;
  }

  /** Connects, or changes the transport. */
  use(transport, options) {
    Object.assign(this, { transport, options });
    this.restore();
  }

  restore() {
    this.#disconnect();
    this.#connect();
  }

  /** Reconnects if the server has been started again without that being noticed: between two polls. */
  checkServer() {
    if (this.#isUp && this.#server !== this.presence.server) this.restore();
  }

  /** Ends the connection until `restore`. */
  cut() {
    this.#disconnect();
    this.on.state("cut");
  }

  /** Posts a text, now or as soon as there is a connection. Returns the post. */
  post(text) {
    const post = this.user.nextPost(text);
    this.#unsent.push(post);
    this.#sendPosts();
    return post;
  }

  #disconnect() {
    this.#attempt += 1;
    clearTimeout(this.#timer);
    this.#link?.close();
    this.#link = undefined;
    this.#isUp = false;
  }

  async #connect() {
    const attempt = this.#attempt;
    const isCurrent = () => attempt === this.#attempt;
    const whileCurrent = (call) => (value) => isCurrent() && call(value);
    this.on.state("connecting");
    try {
      await this.presence.report();
      if (!isCurrent()) return;
      this.#compareServer();
      const link = await TRANSPORTS[this.transport].open({
        room: this.presence.room,
        options: this.options,
        url: (what, parameters) => address(this.origin, roomPath(this.presence.room, what), parameters),
        cursor: () => this.#cursor,
        up: whileCurrent(() => this.#up()),
        item: whileCurrent((item) => this.#item(item)),
        down: whileCurrent((error) => this.#down(error)),
      });
      if (isCurrent()) this.#link = link;
      else link.close();
      this.#sendPosts();
    } catch (error) {
      if (isCurrent()) this.#down(error);
    }
  }

  #up() {
    if (this.#isUp) return;
    this.#isUp = true;
    this.#reconnectMs = RECONNECT_MS.first;
    this.on.state("connected");
    this.#sendPosts();
  }

  #down(error) {
    this.#disconnect();
    if (error instanceof Refused && error.cursorAhead) this.#restart();
    this.on.state("waiting", error);
    this.#timer = setTimeout(() => this.#connect(), this.#reconnectMs * (0.5 + Math.random()));
    this.#reconnectMs = Math.min(this.#reconnectMs * 2, RECONNECT_MS.max);
  }

  /** A server that was started again has new logs, which begin at 1. */
  #compareServer() {
    const isNew = this.#server !== undefined && this.#server !== this.presence.server;
    this.#server = this.presence.server;
    if (isNew && this.#cursor !== undefined) this.#restart();
  }

  #restart() {
    if (this.#cursor === 0) return;
    this.#cursor = 0;
    this.on.restarted();
  }

  #item(item) {
    if (item.joined) this.#cursor ??= item.joined.after;
    else if (item.reset) this.#restart();
    else if (item.gap) {
      this.#cursor = item.gap.to;
      this.on.gap(item.gap);
    } else if (item.seq > (this.#cursor ?? 0)) {
      this.#cursor = item.seq;
      if (item.author === NOTICE_AUTHOR) this.on.notice(item);
      else if (this.#isFirst(item)) this.on.message(item, item.author === this.user.author);
    }
  }

  /** Whether a message is not the repetition of a post whose acknowledgement was lost. */
  #isFirst({ author, ordinal, text }) {
    const key = `${author} ${ordinal} ${text}`;
    if (this.#known.has(key)) return false;
    this.#known.add(key);
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.values().next().value);
    return true;
  }

  /** Sends one post after the other, so that they keep their order. */
  async #sendPosts() {
    if (this.#isPosting) return;
    this.#isPosting = true;
    while (this.#link && this.#isUp && this.#unsent.length > 0) {
      const [post] = this.#unsent;
      try {
        await this.#link.post(post);
        this.#unsent.shift();
      } catch (error) {
        if (error instanceof Refused && error.status !== 503) {
          this.#unsent.shift();
          this.on.refused(error);
        } else {
          await new Promise((resolve) => setTimeout(resolve, REPEAT_POST_MS));
        }
      }
    }
    this.#isPosting = false;
  }
}
