// What the organisers' own view of the live page adds to it: one press hides a post from every screen, and
// another takes that back.  The page of everybody else does not load this.

const words = JSON.parse(document.querySelector('meta[name="organiser-words"]').content);
const token = document.querySelector('meta[name="organiser"]').content;
const list = document.getElementById("stream");
const acts = `/admin/events/${list.dataset.slug}`;

const bar = document.createElement("div");
bar.className = "undo";
bar.hidden = true;
const said = document.createElement("p");
said.setAttribute("role", "status");
const undo = button("button", words.undo);
bar.append(said, undo);
document.body.append(bar);

function button(kind, text) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = kind;
  made.textContent = text;
  return made;
}

/** Post a form as the organisers' pages do; whether it was done, which is answered with a redirection. */
async function act(name, fields) {
  try {
    const body = new URLSearchParams({ token, ...fields });
    const answer = await fetch(`${acts}/${name}`, { method: "POST", body, redirect: "manual" });
    return answer.type === "opaqueredirect";
  } catch {
    return false;
  }
}

function tell(sentence, hidden = null) {
  said.textContent = sentence;
  undo.hidden = hidden === null;
  undo.dataset.subject = hidden ?? "";
  bar.hidden = false;
}

list.addEventListener("click", async ({ target }) => {
  if (!target.matches(".hide")) return;
  const entry = target.closest(".entry");
  const subject = entry.firstElementChild.id.slice("item-".length);
  target.disabled = true;
  // The post itself goes as it does for everybody: by the feed.
  const done = await act("hide", { subject, seq: entry.dataset.seq });
  target.disabled = false;
  if (done) tell(words.hidden, subject);
  else tell(words.failed);
});

undo.addEventListener("click", async () => {
  undo.disabled = true;
  const done = await act("restore", { subject: undo.dataset.subject });
  undo.disabled = false;
  tell(done ? words.restored : words.failed);
});

const files = document.querySelector('meta[name="organiser-files"]')?.content;

/** A way to the page on which a post is put under another talk. */
function way(entry) {
  const link = document.createElement("a");
  link.className = "file";
  link.textContent = words.file;
  const url = new URL(files, location.origin);
  url.searchParams.set("subject", entry.firstElementChild.id.slice("item-".length));
  url.searchParams.set("seq", entry.dataset.seq);
  link.href = url.href;
  return link;
}

/** Give every post its button, also those that come and those that are replaced by an edit. */
function equip() {
  for (const entry of list.querySelectorAll(".entry[data-seq]:not(:has(> .acts))")) {
    const acts = document.createElement("div");
    acts.className = "acts";
    acts.append(button("hide", words.hide), ...(files ? [way(entry)] : []));
    entry.append(acts);
  }
}

new MutationObserver(equip).observe(list, { childList: true, subtree: true });
equip();
