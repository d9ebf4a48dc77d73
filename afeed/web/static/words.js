// Every text that scripts put on a page.

export const words = {
  connection: {
    connecting: "Connecting…",
    live: "Live",
    polling: "Live, every few seconds",
    waiting: "Connection lost",
    offline: "You are offline",
  },

  news: (count) => (count === 1 ? "1 new post" : `${count} new posts`),

  notice: "New notice",
  missing: "Some posts may be missing here.",
  reload: "Load the page again",

  sourceGap: {
    open: (source, from, to) =>
      to === null
        ? `Nothing can be fetched from ${source} since ${from}. Its posts will follow.`
        : `${source} could not be reached from ${from} to ${to}. Posts from that time may be missing.`,
    closed: (source, from, to, fetched) =>
      `${source} could not be reached from ${from} to ${to}. ` +
      (fetched > 0 ? `${fetched} posts from that time came later.` : "There were no posts in that time."),
  },

  sources: { x: "X", flickr: "Flickr", mastodon: "Mastodon", bluesky: "Bluesky" },

  now: "now",
  minutes: (count) => `${count} min`,
  hours: (count) => `${count} h`,
};
