// At most so many posts of one author in a minute on the projector view, as the server has it for the posts that
// are there at first (afeed/core/crowding.py): the first of each minute are shown, the others are not.

/** So many minutes of so many authors are remembered. */
const KEPT = 1000;

export class Pace {
  /**
   * @param {number} most  posts of one author in a minute; NaN for no limit
   * @param {Iterable<HTMLElement>} posts  those that are on the page
   */
  constructor(most, posts) {
    this.most = most;
    this.counts = new Map();
    for (const post of posts) this.admits(post);
  }

  /** Whether a post, an `<article>` from the server's template, may be shown; asked once for each that comes. */
  admits(post) {
    const author = post.dataset.by;
    if (!author || Number.isNaN(this.most)) return true;
    const minute = post.querySelector(".when time").dateTime.slice(0, 16);
    const turn = `${minute} ${author}`;
    const count = this.counts.get(turn) ?? 0;
    if (count >= this.most) return false;
    this.counts.set(turn, count + 1);
    if (this.counts.size > KEPT) this.counts.delete(this.counts.keys().next().value);
    return true;
  }
}
