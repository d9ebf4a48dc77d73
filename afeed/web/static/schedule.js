// Times of the programme where the reader is, behind those of the event, if the two differ.

const language = document.documentElement.lang || "en";
const clock = new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, { hour: "2-digit", minute: "2-digit" });
const here = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** What the clock at the event shows, as RFC 3339 has it: the digits, whatever the reader's zone is. */
function digits(iso) {
  return iso.slice(11, 16);
}

let differs = false;
for (const time of document.querySelectorAll("time.slot[data-there]")) {
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
