// Keeps the page connected: which transport, when to try again, when to fall back, when to climb.
//
// The states, and what leads from one to the next (TABLE below is the same, and is what runs):
//
//   connecting  a transport was opened and has not said anything yet
//   live        it has, and keeps talking
//   asking      a transport failed twice: one plain poll finds out whether the server is there at all
//   waiting     nothing is open; a timer runs
//
//              .--------------- due, wake ----------------.
//              v                                          |
//   --> connecting --message--> live --failed, bye--> waiting
//        ^   |                   |                     ^  ^
//        |   '--- failed, bye ---+---------------------'  |
//        |   '--- failedTwice ---+--> asking --unanswered-'
//        |                              |
//        '--------- answered -----------'  (with the next transport down)
//
// So a server that restarts is waited for, and only a transport that fails where a poll gets through is given
// up. Two missed pings count as failing twice.  A connection that has lived for half a minute has no
// failures.
//
// From a lower transport the better ones are tried again beside it, after a minute and then less and less
// often; the first that speaks takes over.  The position (messages.js) is one for all of them, so nothing is
// lost or shown twice.
//
// Beside the state there is one word from the server, wherever we are connected: `stalled`, new posts cannot be
// shown for now.  It comes with hello, pings and polls (docs/protocol.rst), and is told on like the state.
//
// Delays grow with full jitter: a random part of 1, 2, 4 ... 30 seconds.  Waking up (the tab is shown, the
// network is back) ends any wait, and replaces a connection that has been silent for longer than a ping.

import { ask } from "./transports.js";

const FIRST_MESSAGE = 10_000;
const STABLE = 30_000;
const PING = 15_000;
const LONGEST_WAIT = 30_000;
const CLIMB_FIRST = 60_000;
const CLIMB_LONGEST = 600_000;

/** state -> event -> [next state, action]; what is not here changes nothing. */
export const TABLE = {
  connecting: {
    message: ["live", "settle"],
    failed: ["waiting", "backOff"],
    failedTwice: ["asking", "askOnce"],
    bye: ["waiting", "obey"],
  },
  live: {
    message: ["live", "listen"],
    failed: ["waiting", "backOff"],
    failedTwice: ["asking", "askOnce"],
    bye: ["waiting", "obey"],
    stale: ["connecting", "open"],
  },
  asking: {
    answered: ["connecting", "stepDown"],
    unanswered: ["waiting", "backOff"],
  },
  waiting: {
    due: ["connecting", "open"],
    wake: ["connecting", "open"],
  },
};

export class Connection {
  /**
   * @param {object} options
   * @param {(path: string, query: object) => URL} options.url
   * @param {import("./messages.js").Position} options.position
   * @param {{name: string, open: Function, silence: number}[]} options.ladder  transports, best first
   * @param {(changes: object[]) => void} options.show   what is new, in order
   * @param {boolean} options.stalled  what the page was rendered with
   * @param {(state: string, transport: string, stalled: boolean) => void} options.tell  called when any of them
   *   changes
   */
  constructor({ url, position, ladder, show, stalled, tell }) {
    this.url = url;
    this.position = position;
    this.ladder = ladder;
    this.show = show;
    this.stalled = stalled;
    this.tell = tell;
    this.state = "connecting";
    this.rung = 0;
    this.failures = 0;
    this.waits = 0;
    this.climbDelay = CLIMB_FIRST;
    this.link = null;
    this.trial = null;
    this.heard = Date.now();
    this.timers = {};
  }

  start() {
    addEventListener("online", () => this.wake());
    addEventListener("pageshow", (event) => event.persisted && this.wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.wake());
    this.open();
    this.report();
  }

  get transport() {
    return this.ladder[this.rung];
  }

  // -- the machine

  step(event, detail = {}) {
    const found = TABLE[this.state][event];
    if (found === undefined) return;
    const before = this.state;
    [this.state] = found;
    this[found[1]](detail);
    if (this.state !== before) this.report();
  }

  report() {
    this.tell(this.state, this.transport.name, this.stalled);
  }

  wake() {
    this.waits = 0;
    if (this.state === "live" && Date.now() - this.heard > PING + 5_000) this.step("stale");
    else this.step("wake");
  }

  // -- actions

  open() {
    this.drop();
    this.link = this.dial(this.transport, (message) => this.take(message), (reason) => this.fail(reason));
    this.expect(FIRST_MESSAGE);
  }

  settle() {
    this.waits = 0;
    this.after("stable", STABLE, () => {
      this.failures = 0;
      if (this.rung === 0) this.climbDelay = CLIMB_FIRST;
    });
    this.planClimb();
    this.listen();
  }

  listen() {
    this.heard = Date.now();
    this.expect(this.transport.silence);
  }

  backOff({ retryMs = 0 }) {
    this.drop();
    const longest = Math.min(LONGEST_WAIT, 1000 * 2 ** this.waits);
    this.waits += 1;
    this.after("due", retryMs + Math.random() * longest, () => this.step("due"));
  }

  obey({ retryMs = 0 }) {
    this.drop();
    this.after("due", retryMs * (1 + 0.5 * Math.random()), () => this.step("due"));
  }

  askOnce() {
    this.drop();
    const control = new AbortController();
    this.link = { close: () => control.abort() };
    ask(this.way((message) => this.absorb(message)), 0, control.signal).then(
      () => this.step("answered"),
      (reason) => {
        if (control.signal.aborted) return;
        if (reason.badCursor) this.loseTrack();
        this.step("unanswered", reason);
      },
    );
  }

  stepDown() {
    this.rung += 1;
    this.failures = 0;
    this.waits = 0;
    this.open();
  }

  // -- what transports say

  dial(transport, message, failed) {
    return transport.open({ ...this.way(message), failed });
  }

  way(message) {
    return { url: this.url, cursor: () => this.position.cursor, message };
  }

  take(message) {
    if (message.type === "bye") {
      this.step("bye", { retryMs: message.retry_ms });
      return;
    }
    this.step("message");
    this.absorb(message);
  }

  absorb(message) {
    if (message.type === "hello" || message.type === "ping") this.hold(message.stalled === true);
    const fresh = this.position.take(message);
    if (fresh.length > 0) this.show(fresh);
  }

  /** Whether new posts are held up. */
  hold(stalled) {
    if (stalled === this.stalled) return;
    this.stalled = stalled;
    this.report();
  }

  fail({ retryMs, badCursor = false } = {}) {
    if (badCursor) this.loseTrack();
    this.failures += 1;
    const lower = this.rung + 1 < this.ladder.length;
    this.step(this.failures >= 2 && lower ? "failedTwice" : "failed", { retryMs });
  }

  /** The server does not know our position: go on from the newest, and say that something may be missing. */
  loseTrack() {
    this.position.reset();
    this.show([{ type: "missing" }]);
  }

  /** Expect the next message within `milliseconds`; silence is worth two failures. */
  expect(milliseconds) {
    const deadline = Date.now() + milliseconds;
    this.after("silence", milliseconds, () => {
      // A timer that is far too late has slept with the machine: nothing speaks against the transport.
      if (Date.now() - deadline > 5_000 && this.state === "live") {
        this.step("stale");
        return;
      }
      if (this.state === "live") this.failures += 1;
      this.fail();
    });
  }

  // -- climbing

  planClimb() {
    if (this.rung === 0) return;
    this.after("climb", this.climbDelay * (0.8 + 0.4 * Math.random()), () => this.climb(0));
    this.climbDelay = Math.min(CLIMB_LONGEST, this.climbDelay * 2);
  }

  /** Try the transport at `rung` beside the present one, then the next lower, up to the present. */
  climb(rung) {
    this.endTrial();
    if (this.state !== "live") return;
    if (rung >= this.rung) {
      this.planClimb();
      return;
    }
    const next = () => this.climb(rung + 1);
    let won = false;
    const trial = this.dial(
      this.ladder[rung],
      (message) => {
        if (won) {
          this.take(message);
        } else if (message.type === "bye") {
          next();
        } else {
          won = true;
          this.trial = null;
          this.drop();
          this.link = trial;
          this.rung = rung;
          this.failures = 0;
          this.settle();
          this.report();
          this.absorb(message);
        }
      },
      (reason) => (won ? this.fail(reason) : next()),
    );
    this.trial = trial;
    this.after("trial", FIRST_MESSAGE, next);
  }

  endTrial() {
    clearTimeout(this.timers.trial);
    this.trial?.close();
    this.trial = null;
  }

  // -- timers and links

  after(name, milliseconds, action) {
    clearTimeout(this.timers[name]);
    this.timers[name] = setTimeout(action, milliseconds);
  }

  drop() {
    this.link?.close();
    this.link = null;
    this.endTrial();
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
  }
}
