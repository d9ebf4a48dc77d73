// Under which talk a post is, and what is said of a schedule that has changed.
//
// A post keeps a line for its talk, so that nothing moves when it is filed.  What that line says comes from the
// server, as everything else in a post does.

import { sentence } from "./words.js";

/** So many sentences about the schedule are shown at a time. */
const MOST = 3;

/** What happened to a talk and is worth a sentence, the most important first. */
const TOLD = ["cancelled", "moved", "back"];

function parse(fragment) {
  const template = document.createElement("template");
  template.innerHTML = fragment;
  return template.content.firstElementChild;
}

/** Put the post `article` under `talk`; `fragment` is the line that says so, empty where there is none. */
export function file(article, talk, fragment) {
  if (talk === null) delete article.dataset.talk;
  else article.dataset.talk = talk;
  const line = parse(fragment);
  const known = article.querySelector(":scope > .filed");
  if (line && known) known.replaceWith(line);
  else if (line) article.append(line);
}

/** The fragment of a post that is filed before it is on the page. */
export function filed(post, talk, fragment) {
  const article = parse(post);
  file(article, talk, fragment);
  return article.outerHTML;
}

/** Leave the post `next` where `before` is, if it says nothing of a talk: an edit does not take it away. */
export function keep(before, next) {
  const line = before?.querySelector(":scope > .filed");
  if (!line || before.dataset.talk === undefined || next.dataset.talk !== undefined) return;
  next.dataset.talk = before.dataset.talk;
  next.querySelector(":scope > .filed")?.replaceWith(line);
}

/** Call talks by their new names, wherever they stand. */
export function rename(list, talks) {
  for (const talk of talks.filter(({ kinds }) => kinds.includes("renamed"))) {
    for (const link of list.querySelectorAll(`[data-talk="${CSS.escape(talk.id)}"] > .filed a`)) {
      link.textContent = talk.title;
    }
  }
}

/** What happened to `talk`, in a sentence with times as they are at the event (`zone`); null where it is over or
 *  not worth one. */
export function told(talk, zone, now = Date.now()) {
  const kind = TOLD.find((one) => talk.kinds.includes(one));
  if (kind === undefined || Date.parse(talk.end) < now) return null;
  const language = document.documentElement.lang || "en";
  const start = new Date(talk.start);
  const today = (moment) => moment.toLocaleDateString("en", { timeZone: zone });
  const day = today(start) === today(new Date(now)) ? {} : { weekday: "long" };
  const time = start.toLocaleString(language, { ...day, hour: "numeric", minute: "2-digit", timeZone: zone });
  const place = talk.room ? `${time}, ${talk.room}` : time;
  return sentence(kind, { title: talk.title, place });
}

/** The place where the page says what changed of the schedule: the last few sentences, each until the talk is
 *  over or the reader has had enough. */
export class Notices {
  /**
   * @param {HTMLElement} place  a note in it: a list and a button that empties it
   * @param {(text: string) => void} say  tells those who listen
   */
  constructor(place, say) {
    this.place = place;
    this.say = say;
    this.note = place.querySelector(".note");
    this.list = place.querySelector("ul");
    place.querySelector("button").addEventListener("click", () => this.close());
  }

  show(talks) {
    const { zone } = this.place.dataset;
    const news = [];
    for (const talk of talks) {
      const text = told(talk, zone);
      const known = this.list.querySelector(`[data-of="${CSS.escape(talk.id)}"]`);
      if (text !== null || known) known?.remove();
      if (text === null) continue;
      const line = document.createElement("li");
      line.dataset.of = talk.id;
      line.textContent = text;
      this.list.prepend(line);
      news.push(text);
    }
    if (news.length > 0) this.say(news.slice(-MOST).join(" "));
    while (this.list.children.length > MOST) this.list.lastElementChild.remove();
    this.note.hidden = this.list.children.length === 0;
  }

  close() {
    this.list.replaceChildren();
    this.note.hidden = true;
  }
}
