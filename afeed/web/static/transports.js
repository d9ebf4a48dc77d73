// The four ways to get changes, all with the same face:
//
//   open({ url, cursor, message, failed }) -> { close() }
//
// `url(path, query)` makes an address of this event; `cursor()` is the present position; `message(m)` takes
// each message of the protocol; `failed({ retryMs, badCursor })` (both may be absent) is called once, at the
// end, unless close() came first. A transport never reconnects by itself: connection.js decides.

/** Seconds: the wait asked of a long-poll. */
const WAIT_S = 25;

/** Milliseconds: what an answer may take beyond its wait, and the pace of polling. */
const PATIENCE = 10_000;
const PACE = 5_000;

/** A long-poll that comes back with nothing within so many milliseconds did not wait. */
const HASTY = 1_000;

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

/** An answer that is none; `retryMs` is how long the server asks to be left alone. */
class Refusal extends Error {
  constructor(answer) {
    super(`refused with status ${answer.status}`);
    this.retryMs = 1000 * Number(answer.headers.get("Retry-After") ?? 0) || 0;
    this.badCursor = answer.status === 400;
  }
}

/**
 * Ask once, and wait for up to `wait` seconds for something new.
 *
 * Resolves to `{more, some, stalled}` after handing over what came: whether more can be had at once, whether
 * anything came, and whether new posts are held up, which is handed over as a ping says it.  Rejects with a Refusal, or with whatever fetch has to say.  Once `signal` is aborted nothing
 * is handed over any more.
 */
export async function ask({ url, cursor, message }, wait, signal) {
  const body = await fetchJson(url("updates", { since: cursor(), wait }), wait * 1000 + PATIENCE, signal);
  if (signal.aborted) return {};
  if (body.gap) message({ type: "gap", ...body.gap });
  message({ type: "changes", cursor: body.cursor, changes: body.changes });
  const stalled = body.stalled === true;
  message({ type: "ping", cursor: body.cursor, stalled });
  return { more: body.more, some: body.changes.length > 0, stalled };
}

async function fetchJson(address, milliseconds, signal) {
  const control = new AbortController();
  const stop = () => control.abort();
  const timer = setTimeout(stop, milliseconds);
  signal.addEventListener("abort", stop);
  try {
    // The browser's own cache would answer an empty poll again at once.
    const answer = await fetch(address, { signal: control.signal, cache: "no-store" });
    if (!answer.ok) throw new Refusal(answer);
    return await answer.json();
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

function polling(waitSeconds) {
  return (way) => {
    const control = new AbortController();
    // The first answer comes at once and shows that this transport works.
    let wait = 0;
    let held = false;
    const run = async () => {
      while (!control.signal.aborted) {
        const asked = Date.now();
        const { more, some, stalled } = await ask(way, wait, control.signal);
        // Somebody on the way may not let an answer wait: then this is a plain poll.
        const hasty = wait > 0 && !some && stalled === held && Date.now() - asked < HASTY;
        held = stalled;
        if (!more && (hasty || waitSeconds === 0)) await sleep(pace(), control.signal);
        wait = waitSeconds;
      }
    };
    run().catch((reason) => control.signal.aborted || way.failed(reason));
    return { close: () => control.abort() };
  };
}

/** Resolves after `milliseconds`, or at once when `signal` is aborted. */
function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    signal.addEventListener("abort", wake);
  });
}

function pace() {
  return PACE * (0.8 + 0.4 * Math.random());
}

const longpoll = polling(WAIT_S);
const poll = polling(0);

/** Best first.  After `silence` milliseconds without a message (two missed pings) it counts as dead. */
export const transports = [
  { name: "websocket", open: websocket, silence: 32_000 },
  { name: "sse", open: sse, silence: 32_000 },
  { name: "longpoll", open: longpoll, silence: 1000 * WAIT_S + PATIENCE + 5_000 },
  { name: "poll", open: poll, silence: PACE + PATIENCE + 5_000 },
];
