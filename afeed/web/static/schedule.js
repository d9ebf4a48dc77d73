// The programme: times where the reader is, behind those of the event if the two differ; and what is on, how many
// posts there are and what was moved is brought up to date while the page is open.

const language = document.documentElement.lang || "en";
const clock = new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, { hour: "2-digit", minute: "2-digit" });
const here = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** What the clock at the event shows, as RFC 3339 has it: the digits, whatever the reader's zone is. */
function digits(iso) {
  return iso.slice(11, 16);
}

/** Add the reader's times to what `root` has of the event's. */
function localise(root) {
  let differs = false;
  for (const time of root.querySelectorAll("time.slot[data-there]")) {
    const moment = Date.parse(time.dateTime);
    if (Number.isNaN(moment) || here.format(moment) === digits(time.dataset.there)) continue;
    differs = true;
    const yours = document.createElement("span");
    yours.className = "yours";
    yours.textContent = ` (${clock.format(moment)})`;
    time.append(yours);
  }
  const note = document.getElementById("yours");
  if (note !== null && differs) note.hidden = false;
}

/** Milliseconds between two looks, and by how much viewers differ, so that a hall full of them is no herd. */
const LOOK = 60_000;
const SPREAD = 15_000;

/** What can change: what is on now, and each day. */
function parts(root) {
  return [...root.querySelectorAll("#now, section.day")];
}

/** As the server wrote them, by id. */
const written = new Map(parts(document).map((part) => [part.id, part.outerHTML]));

function replace(old, fresh) {
  const before = old.querySelector(".grid");
  const [sideways, chosen] = [before?.scrollLeft ?? 0, before !== null && before === document.activeElement];
  localise(fresh);
  old.replaceWith(fresh);
  const grid = fresh.querySelector(".grid");
  if (grid === null) return;
  grid.scrollLeft = sideways;
  // A click anywhere in the table has chosen it, to be moved with the arrows.
  if (chosen) grid.focus({ preventScroll: true });
}

async function look() {
  const answer = await fetch(location.href, { cache: "no-cache" });
  if (!answer.ok) return;
  const fresh = parts(new DOMParser().parseFromString(await answer.text(), "text/html"));
  if (fresh.length !== written.size || fresh.some((part) => !written.has(part.id))) {
    location.reload();
    return;
  }
  for (const part of fresh) {
    const markup = part.outerHTML;
    const old = document.getElementById(part.id);
    // No link goes from under the fingers of who walks through them by keyboard.
    if (markup === written.get(part.id) || old.querySelector("a:focus") !== null) continue;
    written.set(part.id, markup);
    replace(old, document.adoptNode(part));
  }
}

async function again() {
  try {
    if (!document.hidden) await look();
  } catch {
    // The network is away, or the server: later.
  }
  setTimeout(again, LOOK + Math.random() * SPREAD);
}

localise(document);
if (document.body.classList.contains("schedule")) setTimeout(again, LOOK + Math.random() * SPREAD);
