// The live page: puts the connection and the list together.
//
//   feed.js         this: reads the page, starts the rest
//   connection.js   which transport, when to reconnect, fall back, climb (the state machine is described there)
//   transports.js   WebSocket, server-sent events, long-poll, poll: one face for all four
//   messages.js     the position in the log: what is new, what came twice, what is missing
//   view.js         the list of posts
//   times.js        times that tick
//   words.js        every text
//
// `?transport=websocket|sse|longpoll|poll` in the page's address keeps to one transport, for support and
// tests.

import { Connection } from "./connection.js";
import { Position } from "./messages.js";
import { tick } from "./times.js";
import { transports } from "./transports.js";
import { Stream } from "./view.js";
import { words } from "./words.js";

/** How many posts the page holds at most, and how many marks of outages and the like between them. */
const LIMIT = 500;
const MARKS = 100;

const list = document.getElementById("stream");
const { slug, cursor, mode, limit, marks } = list.dataset;

function eventUrl(path, query) {
  const url = new URL(`/${slug}/${path}`, location.origin);
  url.searchParams.set("render", "html");
  for (const [name, value] of Object.entries(query)) if (value !== null) url.searchParams.set(name, value);
  return url;
}

function goLive() {
  const stream = new Stream({
    list,
    empty: document.getElementById("empty"),
    news: document.getElementById("news"),
    older: document.getElementById("older"),
    limit: Number(limit ?? LIMIT),
    marks: Number(marks ?? MARKS),
  });
  const line = document.getElementById("connection");
  const delayed = document.getElementById("delayed");
  const only = new URLSearchParams(location.search).get("transport");
  const chosen = transports.filter((transport) => transport.name === only);
  new Connection({
    url: eventUrl,
    position: new Position(cursor),
    ladder: chosen.length > 0 ? chosen : transports,
    show: (changes) => stream.show(changes),
    stalled: delayed?.hidden === false,
    tell: (state, transport, stalled) => {
      const lost = state === "asking" || state === "waiting";
      const live = stalled ? "stalled" : transport === "poll" ? "polling" : "live";
      const shown = lost ? (navigator.onLine ? "waiting" : "offline") : state === "live" ? live : state;
      line.textContent = words.connection[shown];
      line.dataset.state = lost ? "waiting" : state;
      line.dataset.transport = transport;
      line.classList.toggle("stalled", shown === "stalled");
      line.hidden = false;
      // Without a connection nobody knows, and that is the news.
      if (delayed !== null) delayed.hidden = lost || !stalled;
    },
  }).start();
}

tick(list);
if (mode !== "older") goLive();
