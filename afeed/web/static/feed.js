// The live page: puts the connection and the list together.
//
//   feed.js         this: reads the page, starts the rest
//   connection.js   which transport, when to reconnect, fall back, climb (the state machine is described there)
//   transports.js   WebSocket, server-sent events, long-poll, poll: one face for all four
//   messages.js     the position in the log: what is new, what came twice, what is missing
//   view.js         the list of posts
//   filing.js       under which talk a post is, and what changed of the schedule
//   pace.js         at most so many of one author in a minute, on the projector view
//   follow.js       of all changes those that concern the talk or room that the page follows
//   now.js          what is on now and next
//   status.js       what the page says about itself: the badge, the pause button, the live region
//   lightbox.js     photos, large
//   pictures.js     pictures that the server is still fetching
//   times.js        times that tick
//   words.js        every text
//
// `?transport=websocket|sse|longpoll|poll` in the page's address keeps to one transport, for support and
// tests.

import { Connection } from "./connection.js";
import { Notices } from "./filing.js";
import { Follow, catchUp } from "./follow.js";
import { Lightbox } from "./lightbox.js";
import { Position } from "./messages.js";
import { Now } from "./now.js";
import { Pace } from "./pace.js";
import "./pictures.js";
import { Status } from "./status.js";
import { tick } from "./times.js";
import { transports } from "./transports.js";
import { Stream } from "./view.js";

/** How many posts the page holds at most, and how many marks of outages and the like between them. */
const LIMIT = 500;
const MARKS = 100;

const list = document.getElementById("stream");
const { slug, cursor, mode, limit, marks, most, talks } = list.dataset;

function eventUrl(path, query) {
  const url = new URL(`/${slug}/${path}`, location.origin);
  url.searchParams.set("render", "html");
  for (const [name, value] of Object.entries(query)) if (value !== null) url.searchParams.set(name, value);
  return url;
}

/** Keep the list up to date; returns it. */
function goLive() {
  const delayed = document.getElementById("delayed");
  const status = new Status({
    badge: document.getElementById("connection"),
    pause: document.getElementById("pause"),
    region: document.getElementById("said"),
    delayed,
    held: (paused) => stream.hold("pause", paused),
  });
  const stream = new Stream({
    list,
    empty: document.getElementById("empty"),
    news: document.getElementById("news"),
    older: document.getElementById("older"),
    limit: Number(limit ?? LIMIT),
    marks: Number(marks ?? MARKS),
    pace: most ? new Pace(Number(most), [...list.querySelectorAll(".item")].reverse()) : null,
    arrived: (count) => status.arrived(count),
  });
  const follow = new Follow(talks ?? "", () => catchUp(stream));
  const programme = document.getElementById("programme");
  const notices = programme && new Notices(programme, (text) => status.say(text));
  const strip = document.getElementById("now");
  const now = strip && new Now(strip, slug, (mark) => mode === "live" && talks === undefined && stand(stream, mark));
  const only = new URLSearchParams(location.search).get("transport");
  const chosen = transports.filter((transport) => transport.name === only);
  new Connection({
    url: eventUrl,
    position: new Position(cursor),
    ladder: chosen.length > 0 ? chosen : transports,
    show: (changes) => {
      stream.show(follow.concerned(changes));
      const moved = changes.filter((change) => change.type === "schedule.changed");
      if (moved.length > 0) now?.changed();
      notices?.show(moved.flatMap(({ talks }) => talks));
    },
    stalled: delayed?.hidden === false,
    tell: (state, transport, stalled) => status.connection(state, transport, stalled),
  }).start();
  return stream;
}

/** Let the mark of talks that have begun stand above all posts, unless it is there already. */
function stand(stream, mark) {
  const known = document.getElementById(mark.id) ?? stream.pending.find((one) => one.name === mark.id);
  if (known) return;
  stream.pending.unshift({ name: mark.id, entry: mark });
  stream.offer();
}

tick(list);
const stream = mode === "older" ? null : goLive();
const dialog = document.getElementById("lightbox");
if (dialog !== null) new Lightbox(dialog, list, (open) => stream?.hold("lightbox", open));
