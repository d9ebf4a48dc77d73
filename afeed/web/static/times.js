// Times in words that tick: "now", "5 min", "3 h", then a date.  The exact time is in the title.

import { words } from "./words.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

// The language of the page, as it is written where the reader lives.
const page = document.documentElement.lang || "en";
const spoken = navigator.languages?.find((tag) => tag.split("-")[0] === page && tag.includes("-"));
const language = spoken ?? { en: "en-GB" }[page] ?? page;

const sameYear = new Intl.DateTimeFormat(language, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});
const otherYear = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", year: "numeric" });
const exact = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });

/** `moment` (milliseconds) as seen from `now`. */
export function relative(moment, now) {
  const age = now - moment;
  if (age < -MINUTE || age >= 24 * HOUR) {
    const date = new Date(moment);
    return (date.getFullYear() === new Date(now).getFullYear() ? sameYear : otherYear).format(date);
  }
  if (age < 45_000) return words.now;
  if (age < HOUR) return words.minutes(Math.max(1, Math.round(age / MINUTE)));
  return words.hours(Math.floor(age / HOUR));
}

/** `moment` as a clock where the reader is would have shown it, with its date unless that is clear. */
function onTheClock(moment, now) {
  return Math.abs(now - moment) < 12 * HOUR ? clock.format(moment) : sameYear.format(moment);
}

/** Bring every `<time>` below `root` up to date; those of the programme are what they are. */
export function refresh(root, now = Date.now()) {
  for (const element of root.querySelectorAll("time:not(.slot)")) {
    const moment = Date.parse(element.dateTime);
    if (Number.isNaN(moment)) continue;
    const text = (element.classList.contains("clock") ? onTheClock : relative)(moment, now);
    if (element.textContent !== text) element.textContent = text;
    if (!element.title) element.title = exact.format(moment);
  }
}

/** Keep the times below `root` up to date. */
export function tick(root) {
  refresh(root);
  setInterval(() => refresh(root), 15_000);
}
