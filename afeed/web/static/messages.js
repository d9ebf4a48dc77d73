// Where this page stands in the event's log, and what a message adds to it.  No network, no page.
//
// A cursor is "epoch:seq": everything up to and including seq has been taken in.  Numbers have no holes, so
// whatever is missing shows as a hole or is told as a gap, and becomes a mark on the page: never silence.
// What comes twice (two transports overlap for a moment, a poll repeats) is dropped here by its number.

export class Position {
  /** @param {string | null} cursor  where the server-rendered page ends */
  constructor(cursor) {
    this.#go(cursor);
  }

  #epoch = null;
  #seq = 0;

  /** What to send as `since`; null where there is none. */
  get cursor() {
    return this.#epoch === null ? null : `${this.#epoch}:${this.#seq}`;
  }

  /** Forget the position, when the server does not understand it. */
  reset() {
    this.#epoch = null;
    this.#seq = 0;
  }

  /**
   * Take a message in and return what is new, in order: `{type: "missing"}` for a gap, and changes.
   *
   * @param {object} message  as in the protocol: hello, gap, changes; others hold nothing
   */
  take(message) {
    switch (message.type) {
      case "hello":
        // Within an epoch a hello never moves us: what lies between is told by a gap or shows as a hole.
        if (epochOf(message.cursor) !== this.#epoch) this.#go(message.cursor);
        return [];
      case "gap":
        this.#go(message.cursor);
        return [{ type: "missing" }];
      case "changes":
        return this.#follow(message);
      default:
        return [];
    }
  }

  #follow({ changes, cursor }) {
    const fresh = [];
    const epoch = epochOf(cursor);
    const unknown = this.#epoch === null;
    // A poll may meet a new epoch that shares all we have: the numbers go on.
    this.#epoch = epoch;
    for (const change of changes) {
      if (!unknown && change.seq <= this.#seq) continue;
      if (!(unknown && fresh.length === 0) && change.seq !== this.#seq + 1) fresh.push({ type: "missing" });
      fresh.push(change);
      this.#seq = change.seq;
    }
    if (unknown && changes.length === 0) this.#go(cursor);
    return fresh;
  }

  #go(cursor) {
    if (!cursor) return;
    this.#epoch = epochOf(cursor);
    this.#seq = Number(cursor.slice(cursor.lastIndexOf(":") + 1));
  }
}

function epochOf(cursor) {
  return cursor.slice(0, cursor.lastIndexOf(":"));
}
