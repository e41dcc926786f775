// The person at this page: a name, an author number, and when each of their posts was written.

const SENT_MAX = 1_000;

export class User {
  // Another one for each load of the page: two tabs must not use the same ordinals.
  author = crypto.getRandomValues(new Uint32Array(1))[0] % 0xffffffff;
  #ordinal = 0;
  #writtenAt = new Map();

  constructor(name) {
    this.name = name;
  }

  nextPost(text) {
    this.#ordinal += 1;
    this.#writtenAt.set(this.#ordinal, performance.now());
    this.#writtenAt.delete(this.#ordinal - SENT_MAX);
    return { author: this.author, ordinal: this.#ordinal, text };
  }

  /** The time since a message was written here; undefined for those of others. */
  delayOf({ author, ordinal }) {
    const at = author === this.author ? this.#writtenAt.get(ordinal) : undefined;
    return at === undefined ? undefined : performance.now() - at;
  }
}
