// The four ways to get changes, all with the same face:
//
//   open({ url, cursor, message, failed }) -> { close() }
//
// `url(path, query)` makes an address of this event; `cursor()` is the present position; `message(m)` takes each
// message of the protocol; `failed({ retryMs, badCursor })` is called once, at the end, unless close() came first.
// A transport never reconnects by itself: connection.js decides.

/** Milliseconds: the longest wait asked of a long-poll, what a request may take beyond that, the pace of polling. */
const WAIT_S = 25;
const PATIENCE = 10_000;
const PACE = 5_000;

/** WebSocket close code for a cursor that is none. */
const BAD_CURSOR = 4400;

function websocket({ url, cursor, message, failed }) {
  const address = url("ws", { since: cursor() });
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  let open = true;
  socket.onmessage = (event) => {
    if (open) message(JSON.parse(event.data));
  };
  socket.onclose = (event) => {
    if (open) failed({ badCursor: event.code === BAD_CURSOR });
    open = false;
  };
  return {
    close() {
      open = false;
      socket.close();
    },
  };
}

function sse({ url, cursor, message, failed }) {
  const stream = new EventSource(url("stream", { since: cursor() }));
  for (const type of ["hello", "gap", "changes", "ping", "bye"]) {
    stream.addEventListener(type, (event) => {
      if (stream.readyState !== EventSource.CLOSED) message(JSON.parse(event.data));
    });
  }
  stream.onerror = () => {
    stream.close();
    failed({});
  };
  return { close: () => stream.close() };
}

/**
 * Ask once.  Resolves to `more` after handing over what came; rejects with `{retryMs, badCursor}`.
 */
export async function ask({ url, cursor, message }, wait, signal) {
  const timeout = AbortSignal.timeout(wait * 1000 + PATIENCE);
  const answer = await fetch(url("updates", { since: cursor(), wait }), {
    signal: AbortSignal.any([signal, timeout]),
    // The position is in the address, so an answer that a cache still holds is a right one.
    headers: { Accept: "application/json" },
  });
  if (!answer.ok) {
    throw {
      retryMs: 1000 * Number(answer.headers.get("Retry-After") ?? 0) || undefined,
      badCursor: answer.status === 400,
    };
  }
  const body = await answer.json();
  if (signal.aborted) return false;
  if (body.gap) message({ type: "gap", ...body.gap });
  message({ type: "changes", cursor: body.cursor, changes: body.changes });
  return body.more;
}

function polling(waitSeconds, pause) {
  return (way) => {
    const control = new AbortController();
    // The first answer comes at once and shows that this transport works.
    let wait = 0;
    const run = async () => {
      while (!control.signal.aborted) {
        const more = await ask(way, wait, control.signal);
        wait = waitSeconds;
        if (!more) await sleep(pause(), control.signal);
      }
    };
    run().catch((reason) => {
      if (control.signal.aborted) return;
      way.failed({ retryMs: reason?.retryMs, badCursor: reason?.badCursor });
    });
    return { close: () => control.abort() };
  };
}

function sleep(milliseconds, signal) {
  if (milliseconds === 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  });
}

const longpoll = polling(WAIT_S, () => 0);
const poll = polling(0, () => PACE * (0.8 + 0.4 * Math.random()));

/** Best first.  `silence` is how many milliseconds without a message mean that it is dead (two missed pings). */
export const transports = [
  { name: "websocket", open: websocket, silence: 32_000 },
  { name: "sse", open: sse, silence: 32_000 },
  { name: "longpoll", open: longpoll, silence: 1000 * WAIT_S + PATIENCE + 5_000 },
  { name: "poll", open: poll, silence: PACE + PATIENCE + 5_000 },
];
