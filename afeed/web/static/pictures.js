// Pictures that the server is still fetching: it sends one of a size of its own in their place, and this asks again,
// less and less often, for as long as the picture stands on the page.
const WIDTH = 37;
const HEIGHT = 23;
const FIRST_MS = 1000;
const LONGEST_MS = 60000;
const ATTEMPTS = 40;

const attempts = new WeakMap();

const isMissing = (image) =>
  image.naturalWidth === WIDTH && image.naturalHeight === HEIGHT && new URL(image.src).pathname.startsWith("/media/by/");

const askAgain = (image) => {
  const count = (attempts.get(image) ?? 0) + 1;
  if (count > ATTEMPTS) {
    return;
  }
  attempts.set(image, count);
  const wait = Math.min(FIRST_MS * 1.5 ** (count - 1), LONGEST_MS) * (0.75 + Math.random() / 2);
  setTimeout(() => {
    if (image.isConnected) {
      const address = new URL(image.src);
      address.search = `again=${count}`;
      image.src = address.href;
    }
  }, wait);
};

// `load` does not bubble, but it can be caught on its way down.
const look = (event) => {
  if (event.target instanceof HTMLImageElement && isMissing(event.target)) {
    askAgain(event.target);
  }
};
document.addEventListener("load", look, true);
for (const image of document.images) {
  if (image.complete && isMissing(image)) {
    askAgain(image);
  }
}
