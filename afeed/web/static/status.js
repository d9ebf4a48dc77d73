// What the page says about itself: the badge with the state of the connection, the pause button, and one polite
// live region for who listens to the page instead of looking at it.
//
// The live region says as little as helps: how many posts have come, at most every twenty seconds and not while
// they wait because one asked them to, and when the connection is lost or back; not that it was there all along.

import { words } from "./words.js";

/** Milliseconds between two announcements of new posts. */
const BREATH = 20_000;

/** Milliseconds within which a page that has just been opened may connect without saying so. */
const PROMPT = 1_000;

export class Status {
  /**
   * @param {object} parts
   * @param {HTMLElement} parts.badge
   * @param {HTMLButtonElement | null} parts.pause  null where nothing can be paused
   * @param {HTMLElement | null} parts.region  the live region; null where the badge is one itself
   * @param {HTMLElement | null} parts.delayed  the note that the server is late
   * @param {(paused: boolean) => void} parts.held  called when the reader pauses and goes on
   */
  constructor({ badge, pause, region, delayed, held }) {
    this.badge = badge;
    this.pause = pause;
    this.region = region;
    this.delayed = delayed;
    this.paused = false;
    this.lost = false;
    this.count = 0;
    this.breathing = false;
    this.shown = "connecting";
    pause?.addEventListener("click", () => {
      this.paused = !this.paused;
      held(this.paused);
      this.settle();
    });
    this.settle();
    if (pause !== null) pause.hidden = false;
    // A connection that is there at once is not worth a word that comes and goes.
    setTimeout(() => (badge.hidden = false), PROMPT);
  }

  /** The connection is in `state`, by `transport`, and the server is late (`stalled`) or not. */
  connection(state, transport, stalled) {
    const lost = state === "asking" || state === "waiting";
    const live = stalled ? "stalled" : transport === "poll" ? "polling" : "live";
    this.shown = lost ? (navigator.onLine ? "waiting" : "offline") : state === "live" ? live : state;
    this.badge.dataset.state = lost ? "waiting" : state;
    this.badge.dataset.transport = transport;
    if (state !== "connecting") this.badge.hidden = false;
    // Without a connection nobody knows whether the server is late, and that is the news.
    if (this.delayed !== null) this.delayed.hidden = lost || !stalled;
    this.settle();
    if (lost !== this.lost && (lost || state === "live")) {
      this.lost = lost;
      this.say(words[this.shown]);
    }
  }

  /** So many posts have come. */
  arrived(count) {
    this.count += count;
    if (!this.breathing) this.tellCount();
  }

  tellCount() {
    this.breathing = this.count > 0;
    if (this.count === 0) return;
    if (!this.paused) this.say(words.news(this.count));
    this.count = 0;
    setTimeout(() => this.tellCount(), BREATH);
  }

  say(text) {
    if (this.region !== null) this.region.textContent = text;
  }

  settle() {
    const paused = this.paused && (this.shown === "live" || this.shown === "polling");
    this.badge.textContent = paused ? words.paused : words[this.shown];
    this.badge.classList.toggle("stalled", this.shown === "stalled" || paused);
    if (this.pause === null) return;
    this.pause.classList.toggle("paused", this.paused);
    this.pause.title = this.paused ? words.goOn : words.pause;
    this.pause.setAttribute("aria-label", this.pause.title);
  }
}
