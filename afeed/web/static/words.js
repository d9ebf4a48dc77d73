// Every text that scripts put on a page.

export const words = {
  connection: {
    connecting: "Connecting…",
    live: "Live",
    polling: "Live, every few seconds",
    stalled: "New posts are delayed",
    waiting: "Connection lost",
    offline: "You are offline",
  },

  news: (count) => (count === 1 ? "1 new post" : `${count} new posts`),

  notice: "New notice",
  missing: "Some posts may be missing here.",
  reload: "Load the page again",

  now: "now",
  minutes: (count) => `${count} min`,
  hours: (count) => `${count} h`,
};
