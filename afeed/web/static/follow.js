// A page that follows one talk, or those of one room: of all changes, the ones that concern it.
//
// The talk of a post is in its fragment (data-talk); where it is filed later, or filed anew, item.filed says so.  A
// post that comes under the talk only then is not in any change: it is taken from the page's own address, where the
// server has put it by then.

const TALK = /^<article[^>]*? data-talk="([^"]*)"/;

/** Milliseconds after which the server has filed it and no cache has the page from before. */
const SETTLED = 8_000;

export class Follow {
  /**
   * @param {string} talks  ids with blanks between; empty for everything
   * @param {() => void} look  called when the page should be looked at anew
   */
  constructor(talks, look) {
    this.talks = talks ? new Set(talks.split(" ")) : null;
    this.look = look;
    this.timer = null;
  }

  /** Of `changes`, what the list is to be told. */
  concerned(changes) {
    return this.talks === null ? changes : changes.map((change) => this.turn(change)).filter(Boolean);
  }

  turn(change) {
    switch (change.type) {
      case "item.posted":
        return this.talks.has(talkOf(change)) ? change : null;
      case "item.edited": {
        const talk = talkOf(change);
        // An edit that says nothing of the talk leaves the post where it is.
        return talk === undefined || this.talks.has(talk) ? change : gone(change, change.item.id);
      }
      case "item.filed":
        if (!this.talks.has(change.talk)) return gone(change, change.id);
        if (document.getElementById(`item-${change.id}`) === null) this.later();
        return change;
      case "source.gap":
        return null;
      default:
        return change;
    }
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), SETTLED);
  }
}

/** Put into `stream` what the server's page has by now and this one does not. */
export async function catchUp(stream) {
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const entry of page.querySelectorAll("#stream > [data-seq]")) {
      const id = entry.firstElementChild?.id;
      if (id && document.getElementById(id) === null && !stream.pending.some((one) => one.name === id)) {
        stream.fileUnder(Number(entry.dataset.seq), document.importNode(entry, true));
        stream.settle();
      }
    }
  } catch {
    // It is there when the page is loaded again.
  }
}

function talkOf(change) {
  return TALK.exec(change.fragment ?? "")?.[1];
}

function gone(change, id) {
  return { seq: change.seq, at: change.at, type: "item.removed", id };
}
