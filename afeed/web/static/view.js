// The list of posts: newest first, as the server rendered them.
//
// Fragments come from the server and go in through <template>, where nothing runs.  An edit replaces in
// place, a removal removes, what is not on the page is ignored.  While the reader has scrolled down, new
// posts wait behind a button, so that nothing moves under their eyes.  The page holds at most `limit` posts, and
// at most `marks` of what stands between them; older posts are behind the "Older posts" link, which always goes on
// exactly where the page ends.

import { refresh } from "./times.js";
import { words } from "./words.js";

/** Scrolled down by less than this many pixels still counts as being at the top. */
const AT_TOP = 80;

/** A post that is older than this when it is recorded was fetched later, after an outage (milliseconds). */
const LATE = 15 * 60_000;

export class Stream {
  /**
   * @param {object} parts
   * @param {HTMLElement} parts.list
   * @param {HTMLElement} parts.empty  shown while the list is empty
   * @param {HTMLButtonElement | null} parts.news  null where nothing waits: the projector view
   * @param {HTMLAnchorElement | null} parts.older
   * @param {number} parts.limit
   * @param {number} parts.marks
   */
  constructor({ list, empty, news, older, limit, marks }) {
    this.list = list;
    this.empty = empty;
    this.news = news;
    this.older = older;
    this.limit = limit;
    this.marks = marks;
    /** Entries that wait, newest first. */
    this.pending = [];
    list.addEventListener("error", (event) => retire(event.target), { capture: true });
    for (const image of list.querySelectorAll("img")) if (image.complete && !image.naturalWidth) retire(image);
    news?.addEventListener("click", () => this.catchUp());
    addEventListener("scroll", () => this.atTop && this.pending.length > 0 && this.release(), {
      passive: true,
    });
  }

  get atTop() {
    return this.news === null || scrollY < AT_TOP;
  }

  /** Show changes and gaps, in order. */
  show(changes) {
    const fresh = [];
    for (const change of changes) {
      try {
        CHANGES[change.type]?.call(this, change, fresh);
      } catch (error) {
        // One change that cannot be shown must not take the others with it.
        reportError(error);
      }
    }
    fresh.reverse();
    if (fresh.length > 0) {
      this.pending = this.newest([...fresh, ...this.pending]);
      if (this.atTop) this.release();
    }
    this.settle();
  }

  /** Show what waits, and go to it. */
  catchUp() {
    this.release();
    this.settle();
    scrollTo({ top: 0 });
    this.list.focus({ preventScroll: true });
  }

  /** Put what waits at the top of the list. */
  release() {
    const first = this.list.firstElementChild;
    for (const entry of this.pending) refresh(entry);
    this.list.prepend(...this.pending);
    this.pending = [];
    const kept = new Set(this.newest([...this.list.children]));
    for (const entry of [...this.list.children]) if (!kept.has(entry)) entry.remove();
    if (first?.isConnected) slide(this.list, first.offsetTop - this.list.firstElementChild.offsetTop);
    this.settle();
  }

  /** Of `entries`, newest first, those for which the page has room. */
  newest(entries) {
    let [posts, marks] = [0, 0];
    const end = entries.findIndex((entry) => entry.dataset.seq && ++posts > this.limit);
    const above = end < 0 ? entries : entries.slice(0, end);
    return above.filter((entry) => entry.dataset.seq || ++marks <= this.marks);
  }

  settle() {
    const last = this.list.lastElementChild;
    this.empty.hidden = last !== null || this.pending.length > 0;
    if (this.news !== null) {
      const posts = this.pending.filter((entry) => entry.dataset.seq).length;
      this.news.hidden = this.pending.length === 0;
      this.news.textContent = posts > 0 ? words.news(posts) : words.notice;
    }
    const posts = this.older === null ? [] : [...this.list.children].filter((entry) => entry.dataset.seq);
    if (posts.length >= this.limit) {
      this.older.search = `?before=${posts.at(-1).dataset.seq}`;
      this.older.hidden = false;
    }
  }

  /** The entry that holds the item `id`, on the page or waiting; null when there is none. */
  find(id) {
    const name = `item-${id}`;
    const shown = document.getElementById(name)?.closest(".entry");
    return shown ?? this.pending.find((entry) => entry.firstElementChild?.id === name) ?? null;
  }

  post(change, fresh) {
    const known = this.find(change.item.id) ?? fresh.find((entry) => holds(entry, change.item.id));
    if (known) {
      replace(known, change.fragment);
      return;
    }
    // The projector view is about now: it does not replay what happened while nobody could fetch it.
    if (this.news === null && Date.parse(change.at) - Date.parse(change.item.created_at) > LATE) return;
    const { seq } = change;
    const entry = enclose(change.fragment);
    entry.dataset.seq = seq;
    const newest = fresh.at(-1) ?? this.pending[0] ?? this.list.firstElementChild;
    if (Number(newest?.dataset.seq ?? 0) < seq) fresh.push(entry);
    else this.fileUnder(seq, entry);
  }

  /** Put an older post where it belongs; below the end of the page the "Older posts" link leads to it. */
  fileUnder(seq, entry) {
    const older = [...this.list.children].find((other) => Number(other.dataset.seq) < seq);
    if (older) older.before(entry);
    else if (this.older === null || this.older.hidden) this.list.append(entry);
    refresh(entry);
  }

  edit(change, fresh) {
    const known = this.find(change.item.id) ?? fresh.find((entry) => holds(entry, change.item.id));
    if (known) replace(known, change.fragment);
  }

  remove(change, fresh) {
    const waiting = fresh.findIndex((entry) => holds(entry, change.id));
    if (waiting >= 0) fresh.splice(waiting, 1);
    this.pending = this.pending.filter((entry) => !holds(entry, change.id));
    this.find(change.id)?.remove();
  }

  missing(_, fresh) {
    const reload = document.createElement("a");
    reload.href = location.href;
    reload.textContent = words.reload;
    fresh.push(note(words.missing, " ", reload));
  }

  sourceGap(change, fresh) {
    const entry = mark(change);
    const known =
      document.getElementById(entry.id) ?? [...this.pending, ...fresh].find((other) => other.id === entry.id);
    if (known) known.replaceChildren(...entry.childNodes);
    else fresh.push(entry);
  }
}

/** What each type of change does; types that are not here concern nobody who looks at the list. */
const CHANGES = {
  "item.posted": Stream.prototype.post,
  "item.edited": Stream.prototype.edit,
  "item.removed": Stream.prototype.remove,
  "source.gap": Stream.prototype.sourceGap,
  missing: Stream.prototype.missing,
};

function holds(entry, id) {
  return entry.firstElementChild?.id === `item-${id}`;
}

function parse(fragment) {
  const template = document.createElement("template");
  template.innerHTML = fragment;
  return template.content.firstElementChild;
}

function enclose(fragment) {
  const entry = document.createElement("div");
  entry.className = "entry new";
  entry.append(parse(fragment));
  return entry;
}

function replace(entry, fragment) {
  entry.replaceChildren(parse(fragment));
  refresh(entry);
  entry.classList.remove("new", "edited");
  void entry.offsetWidth; // so that the same animation may run again
  entry.classList.add("edited");
}

/** The mark of an outage of a source, from the server's template (gap.html, as marks.py fills it in). */
function mark({ source, from, to, state, fetched }) {
  const filled = ["none", "one"][fetched] ?? "some";
  const kind = state === "closed" ? filled : to === null ? "ongoing" : "open";
  const entry = document.querySelector(`template[data-gap="${kind}"]`).content.firstElementChild.cloneNode(true);
  const name = source.split(":")[0];
  const fill = (part, members) => Object.assign(entry.querySelector(part) ?? {}, members);
  entry.id = `gap-${source}-${from}`;
  fill(".source", { textContent: name.charAt(0).toUpperCase() + name.slice(1) });
  fill(".from", { dateTime: from, textContent: from });
  fill(".to", { dateTime: to, textContent: to });
  fill(".fetched", { textContent: fetched });
  refresh(entry);
  return entry;
}

function note(...content) {
  const entry = document.createElement("div");
  const text = document.createElement("p");
  entry.className = "entry";
  text.className = "gap";
  text.append(...content);
  entry.append(text);
  return entry;
}

/** Let the list, which has just grown at the top by `height`, glide to its new place. */
function slide(list, height) {
  if (height <= 0 || document.hidden || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  list.animate([{ transform: `translateY(${-Math.min(height, innerHeight)}px)` }, { transform: "none" }], {
    duration: 350,
    easing: "ease-out",
  });
}

/** An image that cannot be had leaves its place to what stands behind it. */
function retire(image) {
  if (!(image instanceof HTMLImageElement)) return;
  if (image.closest(".avatar")) image.remove();
  else image.classList.add("broken");
}
