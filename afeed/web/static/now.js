// What is on now and next.  The server renders it into the page; when it changes (a talk begins or ends, or the
// programme does) it is taken anew from /<slug>/now, and where talks have just begun their mark goes into the
// stream, so that who reads down sees where one ended and the next began.

/** Milliseconds within which viewers ask, so that a hall full of them does not do so at once. */
const SPREAD = 15_000;

/** A clock that is wrong, or a page that was just made: never more often than this. */
const LEAST = 20_000;

/** What a timer takes at most. */
const MOST = 2 ** 31 - 1;

export class Now {
  /**
   * @param {HTMLElement} strip  replaced when it changes
   * @param {string} slug
   * @param {(mark: HTMLElement) => void} begun  given the mark of the talks that began last
   */
  constructor(strip, slug, begun) {
    this.strip = strip;
    this.slug = slug;
    this.begun = begun;
    this.wait();
  }

  /** Look again when what is on now ends, or the next begins. */
  wait() {
    clearTimeout(this.timer);
    const until = Date.parse(this.strip.dataset.until ?? "");
    if (Number.isNaN(until)) return;
    const pause = Math.max(until - Date.now() + 1000, LEAST) + Math.random() * SPREAD;
    this.timer = setTimeout(() => (pause > MOST ? this.wait() : this.look()), Math.min(pause, MOST));
  }

  /** The programme has changed. */
  changed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), 1000 + Math.random() * SPREAD);
  }

  async look() {
    try {
      const url = new URL(`/${this.slug}/now`, location.origin);
      const language = new URLSearchParams(location.search).get("lang");
      if (language !== null) url.searchParams.set("lang", language);
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const template = document.createElement("template");
      template.innerHTML = await answer.text();
      const fresh = template.content.querySelector("#now");
      const mark = template.content.querySelector(".divider");
      if (fresh !== null) {
        this.strip.replaceWith(fresh);
        this.strip = fresh;
      }
      if (mark !== null) this.begun(mark);
      this.wait();
    } catch {
      // The network is away, or the server: later, as with everything else on the page.
      this.timer = setTimeout(() => this.look(), LEAST + Math.random() * SPREAD);
    }
  }
}
