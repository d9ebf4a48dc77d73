// The list of posts: newest first, as the server rendered them.
//
// Fragments come from the server and go in through <template>, where nothing runs.  An edit replaces in
// place, a removal removes, what is not on the page is ignored.  The page holds at most `limit` posts, and
// at most `marks` of what stands between them; older posts are behind the "Older posts" link, which always goes on
// exactly where the page ends.
//
// Nothing moves under the reader's eyes.  At the top new posts push the others down, in one glide that starts where
// everything was; what arrives meanwhile goes into the next one, so that a burst costs a few glides a second and
// not one layout for each post.  Of many that come at once those that can be seen go in together, and the older
// ones below them a few in each frame, so that the page answers its reader meanwhile.  While the reader has
// scrolled down, has asked for a pause or looks at a photo, new posts wait, the first two behind a button.  Edits
// and removals never wait.

import { file, filed, keep, rename } from "./filing.js";
import { refresh } from "./times.js";
import { words } from "./words.js";

/** Scrolled down by less than this many pixels still counts as being at the top. */
const AT_TOP = 80;

/** Entries below so many of them are no longer on the screen of who is at the top. */
const NEAR = 25;

/** So many entries go onto the page in one step, and in its first frame at most so many such steps. */
const PORTION = 10;
const STEPS = 3;

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
   * @param {import("./pace.js").Pace | null} [parts.pace]  null where every post is shown
   * @param {(count: number) => void} [parts.arrived]  told how many posts have come, shown or waiting
   */
  constructor({ list, empty, news, older, limit, marks, pace = null, arrived = () => {} }) {
    this.list = list;
    this.empty = empty;
    this.news = news;
    this.older = older;
    this.limit = limit;
    this.marks = marks;
    this.pace = pace;
    this.arrived = arrived;
    /** What waits, newest first: `{seq, name, fragment}` for a post, `{name, entry}` for what stands between
     *  posts.  `name` is the id of an element; elements are made of posts only when they go onto the page. */
    this.pending = [];
    /** The rest of what is going onto the page, newest first, and the place where it goes; null when all is
     *  there. */
    this.rest = null;
    /** Whether the reader has asked for what waits. */
    this.asked = false;
    /** Why they wait although the reader is at the top. */
    this.holds = new Set();
    this.glide = null;
    list.addEventListener("error", (event) => retire(event.target), { capture: true });
    for (const image of list.querySelectorAll("img")) if (image.complete && !image.naturalWidth) retire(image);
    news?.addEventListener("click", () => this.catchUp());
    addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.scrolled();
  }

  scrolled() {
    // Asked here and not for each post: the answer may cost a layout.
    this.atTop = this.news === null || scrollY < AT_TOP;
    // At the top it is we who keep things in their place, further down the browser does.
    this.list.style.overflowAnchor = this.atTop ? "none" : "";
    if (this.pending.length > 0) this.offer();
  }

  /** Let new posts wait (or no longer) for a `reason`; they come when there is none any more. */
  hold(reason, on) {
    if (on) this.holds.add(reason);
    else this.holds.delete(reason);
    this.offer();
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
    if (fresh.length > 0) this.pending = this.newest([...fresh, ...this.pending], (one) => one.seq);
    this.offer();
    const posts = fresh.filter((one) => one.seq).length;
    if (posts > 0) this.arrived(posts);
  }

  /** Show what waits, if it need not. */
  offer() {
    const wanted = this.asked || (this.atTop && this.holds.size === 0);
    if (wanted && this.glide === null && this.rest === null && this.pending.length > 0) this.release();
    else this.settle();
  }

  /** Show what waits, and go to it. */
  catchUp() {
    this.asked = this.pending.length > 0;
    this.glide?.cancel();
    this.arrive();
    scrollTo({ top: 0 });
    this.list.focus({ preventScroll: true });
  }

  /** Put what waits at the top of the list: at once what can be seen of it, the rest below that. */
  release() {
    this.asked = false;
    this.leave();
    const first = this.list.firstElementChild;
    const before = first?.getBoundingClientRect().top;
    const waiting = this.pending;
    this.pending = [];
    const place = document.createComment("");
    this.list.prepend(place);
    const fresh = [];
    let height = 0;
    for (let step = 0; step < STEPS && waiting.length > 0 && height <= innerHeight; step += 1) {
      const portion = waiting.splice(0, PORTION).map(made);
      place.before(...portion);
      fresh.push(...portion);
      if (first !== null) height = first.getBoundingClientRect().top - before;
    }
    this.trim();
    if (!first?.isConnected) height = 0;
    // More than a screenful would rush past; then, and for who wants no movement, it is a step.
    const step = height > innerHeight || matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!step) for (const entry of fresh) entry.classList.add("new");
    if (this.news !== null && height > 0 && !document.hidden) this.slide(height, step);
    this.rest = { place, waiting };
    if (waiting.length === 0 || document.hidden) this.fill(waiting.length);
    else if (this.glide === null) this.goOn();
    this.settle();
  }

  /** The glide is over, and what was there before it is below the screen; or nothing has moved. */
  arrive() {
    this.glide = null;
    if (this.rest !== null) this.goOn();
    else this.offerSoon();
  }

  /** Show what waits once this frame is painted: that and the next layout are each long enough alone. */
  offerSoon() {
    setTimeout(() => this.offer());
  }

  /** In each frame from the next one on put a portion of the rest below what came first. */
  goOn() {
    requestAnimationFrame(() => {
      if (this.rest !== null) this.fill(PORTION);
      if (this.rest !== null) this.goOn();
      else this.offerSoon();
    });
  }

  /** Put `count` more of the rest where they belong; nobody sees them there yet. */
  fill(count) {
    const { place, waiting } = this.rest;
    const portion = waiting.splice(0, count).map(made);
    place.before(...portion);
    const near = NEAR - [...this.list.children].indexOf(portion[0]);
    if (this.news !== null) for (const entry of portion.slice(Math.max(0, near))) entry.classList.add("far");
    if (waiting.length === 0) {
      place.remove();
      this.rest = null;
    }
    this.trim();
  }

  /** Take away what the page has no room for. */
  trim() {
    const entries = [...this.list.children];
    const kept = new Set(this.newest(entries, (entry) => entry.dataset.seq));
    for (const entry of entries) if (!kept.has(entry)) entry.remove();
  }

  /** Let the list, which has just grown at the top by `height`, go from where it was to its new place. */
  slide(height, step) {
    const glide = this.list.animate([{ transform: `translateY(${-height}px)` }, { transform: "none" }], {
      duration: step ? 1 : 350,
      easing: step ? "step-end" : "ease-out",
    });
    // A frame at rest before it starts and after it has ended: however late a busy browser is, it has painted
    // everything where it was, and nothing jumps.
    const rested = (action) =>
      requestAnimationFrame(() => requestAnimationFrame(() => this.glide === glide && action()));
    glide.pause();
    this.glide = glide;
    rested(() => glide.play());
    glide.finished.then(() => rested(() => this.arrive()), () => {});
  }

  /** Let what is far below the screen by now cost less; below the first entry that does, all do already. */
  leave() {
    if (this.news === null) return;
    let entry = this.list.children[NEAR];
    for (; entry && !entry.classList.contains("far"); entry = entry.nextElementSibling) entry.classList.add("far");
  }

  /** Of `entries`, newest first, those for which the page has room; `seq` tells the number of a post. */
  newest(entries, seq) {
    let [posts, marks] = [0, 0];
    const end = entries.findIndex((entry) => seq(entry) && ++posts > this.limit);
    const above = end < 0 ? entries : entries.slice(0, end);
    return above.filter((entry) => seq(entry) || ++marks <= this.marks);
  }

  settle() {
    this.empty.hidden = this.list.lastElementChild !== null || this.pending.length > 0 || this.rest !== null;
    if (this.news !== null) {
      this.news.hidden = this.pending.length === 0 || (this.atTop && this.holds.size === 0);
    }
    if (this.news?.hidden === false) {
      const posts = this.pending.filter((one) => one.seq).length;
      this.news.textContent = posts > 0 ? words.news(posts) : words.notice;
    }
    const posts = this.older === null ? [] : this.list.querySelectorAll(":scope > [data-seq]");
    if (posts.length >= this.limit) {
      const query = new URLSearchParams(this.older.search);
      query.set("before", posts[posts.length - 1].dataset.seq);
      this.older.search = query;
      this.older.hidden = false;
    }
  }

  /** What is called `name` among all that is not on the page yet; undefined when there is none. */
  waiting(name, fresh) {
    return [fresh, this.pending, this.rest?.waiting ?? []].flat().find((one) => one.name === name);
  }

  post(change, fresh) {
    if (this.edit(change, fresh)) return;
    // The projector view is about now: it does not replay what happened while nobody could fetch it.
    if (this.news === null && Date.parse(change.at) - Date.parse(change.item.created_at) > LATE) return;
    const { seq, fragment } = change;
    if (this.pace !== null && !this.pace.admits(parse(fragment))) return;
    const post = { seq, name: nameOf(change.item.id), fragment };
    const newest = (fresh.at(-1) ?? this.pending[0])?.seq ?? this.list.firstElementChild?.dataset.seq;
    if (Number(newest ?? 0) < seq) fresh.push(post);
    else this.fileUnder(seq, made(post));
  }

  /** Put an older post where it belongs; below the end of the page the "Older posts" link leads to it. */
  fileUnder(seq, entry) {
    if (this.rest !== null) this.fill(this.rest.waiting.length);
    const older = [...this.list.children].find((other) => Number(other.dataset.seq) < seq);
    if (older) older.before(entry);
    else if (this.older === null || this.older.hidden) this.list.append(entry);
  }

  /** Show the new version of an item; whether it was here. */
  edit(change, fresh) {
    const name = nameOf(change.item.id);
    const waiting = this.waiting(name, fresh);
    const shown = document.getElementById(name)?.closest(".entry");
    if (waiting) waiting.fragment = change.fragment;
    else if (shown) replace(shown, change.fragment);
    return Boolean(waiting ?? shown);
  }

  /** Put an item under its talk, wherever it is. */
  file({ id, talk, fragment = "" }, fresh) {
    const name = nameOf(id);
    const waiting = this.waiting(name, fresh);
    const shown = document.getElementById(name);
    if (waiting) waiting.fragment = filed(waiting.fragment, talk, fragment);
    else if (shown) file(shown, talk, fragment);
  }

  rename({ talks }) {
    rename(this.list, talks);
  }

  remove(change, fresh) {
    const name = nameOf(change.id);
    for (const list of [fresh, this.pending, this.rest?.waiting ?? []]) {
      const found = list.findIndex((one) => one.name === name);
      if (found >= 0) list.splice(found, 1);
    }
    document.getElementById(name)?.closest(".entry")?.remove();
  }

  missing(_, fresh) {
    const reload = document.createElement("a");
    reload.href = location.href;
    reload.textContent = words.reload;
    fresh.push({ name: "", entry: note(words.missing, " ", reload) });
  }

  sourceGap(change, fresh) {
    const entry = mark(change);
    const known = this.waiting(entry.id, fresh)?.entry ?? document.getElementById(entry.id);
    if (known) known.replaceChildren(...entry.childNodes);
    else fresh.push({ name: entry.id, entry });
  }
}

/** What each type of change does; types that are not here concern nobody who looks at the list. */
const CHANGES = {
  "item.posted": Stream.prototype.post,
  "item.edited": Stream.prototype.edit,
  "item.removed": Stream.prototype.remove,
  "item.filed": Stream.prototype.file,
  "schedule.changed": Stream.prototype.rename,
  "source.gap": Stream.prototype.sourceGap,
  missing: Stream.prototype.missing,
};

function nameOf(id) {
  return `item-${id}`;
}

function parse(fragment) {
  const template = document.createElement("template");
  template.innerHTML = fragment;
  return template.content.firstElementChild;
}

/** The element of what has waited. */
function made({ seq, fragment, entry }) {
  if (entry) {
    refresh(entry);
    return entry;
  }
  const made = document.createElement("div");
  made.className = "entry";
  made.dataset.seq = seq;
  made.append(parse(fragment));
  refresh(made);
  return made;
}

function replace(entry, fragment) {
  const next = parse(fragment);
  keep(entry.firstElementChild, next);
  entry.replaceChildren(next);
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

/** An image that cannot be had leaves its place to what stands behind it, or to its description. */
function retire(image) {
  if (!(image instanceof HTMLImageElement) || image.classList.contains("broken")) return;
  if (image.closest(".avatar")) {
    image.remove();
    return;
  }
  const text = document.createElement("span");
  text.className = "no-image";
  text.textContent = image.alt;
  image.classList.add("broken");
  image.after(text);
}
