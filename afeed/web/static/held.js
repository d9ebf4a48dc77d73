// The organisers' page of held posts keeps itself up to date, and a decision needs no new page.
//
// Nothing moves under a thumb: what others decided stays where it is, greyed out, until it is off the screen, and
// what comes is added at the end.  Where this does not run, or something fails, the buttons work as on any page.

/** Milliseconds between two looks. */
const LOOK = 4_000;

const list = document.getElementById("held");
const bar = document.getElementById("several");

function entries(root) {
  return [...root.querySelectorAll("[data-held]")];
}

/** What the server shows at the address of this page, null when it cannot be had. */
async function present() {
  try {
    const address = new URL(location.href);
    // Looking by itself must not keep a session open for ever.
    address.searchParams.set("unattended", "1");
    for (const name of ["did", "subject", "mark"]) address.searchParams.delete(name);
    const answer = await fetch(address, { redirect: "error" });
    if (!answer.ok) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("held");
  } catch {
    return null;
  }
}

function onScreen(entry) {
  const { top, bottom } = entry.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

function retire(entry) {
  if (!onScreen(entry)) {
    entry.remove();
    return;
  }
  if (entry.classList.contains("gone")) return;
  entry.classList.add("gone");
  for (const control of entry.querySelectorAll("button, input[type=checkbox]")) {
    control.disabled = true;
    control.checked = false;
  }
  const note = document.createElement("span");
  note.className = "decided";
  note.textContent = list.dataset.gone;
  entry.querySelector(".why").append(" ", note);
}

/** Bring the list up to date with `fresh`, the same part of the page as it is now. */
function update(fresh) {
  const shown = new Map(entries(list).map((entry) => [entry.dataset.held, entry]));
  const wanted = new Map(entries(fresh).map((entry) => [entry.dataset.held, entry]));
  for (const [name, entry] of shown) if (!wanted.has(name)) retire(entry);
  const end = list.querySelector(".empty");
  let number = Math.max(0, ...entries(list).map((entry) => Number(entry.dataset.number ?? 0)));
  for (const [name, entry] of wanted) {
    const known = shown.get(name);
    if (known) {
      for (const part of [".outlook", ".facts"]) {
        const [old, now] = [known.querySelector(part), entry.querySelector(part)];
        if (old && now && old.textContent !== now.textContent) old.textContent = now.textContent;
      }
      continue;
    }
    number += 1;
    const adopted = document.adoptNode(entry);
    renumber(adopted, number);
    end.before(adopted);
  }
  end.hidden = entries(list).length > 0;
  settle();
}

/** Where scripts run, what decides on what was chosen is there once something is. */
function settle() {
  if (bar) bar.hidden = list.querySelector(".pick input:checked") === null;
}

/** Names of boxes that are chosen differ, however often the page was brought up to date. */
function renumber(entry, number) {
  entry.dataset.number = number;
  const box = entry.querySelector("input[type=checkbox]");
  if (box) box.name = `pick${number}`;
}

let looks = 0;

/** An answer to an earlier look, which may come later, says what is no longer so. */
async function look() {
  const number = ++looks;
  const fresh = await present();
  if (fresh && number === looks) update(fresh);
}

async function again() {
  if (!document.hidden) await look();
  setTimeout(again, LOOK);
}

/** Send a form as the browser would, without leaving the page; where that fails the browser does it. */
async function send(form, submitter) {
  const body = new URLSearchParams(new FormData(form));
  const action = submitter?.hasAttribute("formaction") ? submitter.formAction : form.action;
  let done = false;
  try {
    const answer = await fetch(action, { method: "POST", body, redirect: "manual" });
    done = answer.type === "opaqueredirect";
  } catch {
    done = false;
  }
  if (!done) {
    form.action = action;
    form.submit();
    return;
  }
  await look();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form !== bar && !list.contains(form)) return;
  event.preventDefault();
  const { submitter } = event;
  if (form === bar && ![...new FormData(form).keys()].some((name) => name.startsWith("pick"))) return;
  if (submitter) submitter.disabled = true;
  send(form, submitter).finally(() => {
    if (submitter && !submitter.closest(".gone")) submitter.disabled = false;
  });
});

list.addEventListener("change", settle);
settle();
entries(list).forEach((entry, index) => renumber(entry, index + 1));
setTimeout(again, LOOK);
