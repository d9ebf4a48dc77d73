// Photos, large.  The links in the list lead to the photos anyway; with scripts they open here, in the page's one
// <dialog>: the browser keeps the keyboard in it, Esc closes it, and the focus goes back to where it came from.
//
// It goes through all photos that are on the page at that moment.  One that leaves the page, because its post was
// removed, leaves the screen as well.

export class Lightbox {
  /**
   * @param {HTMLDialogElement} dialog
   * @param {HTMLElement} list  where the photos are
   * @param {(open: boolean) => void} held  called when it opens and closes
   */
  constructor(dialog, list, held) {
    this.dialog = dialog;
    this.list = list;
    this.image = document.createElement("img");
    this.alt = dialog.querySelector(".alt");
    this.credit = dialog.querySelector(".credit");
    this.previous = dialog.querySelector(".previous");
    this.next = dialog.querySelector(".next");
    dialog.querySelector("figure").prepend(this.image);
    list.addEventListener("click", (event) => {
      const link = event.target.closest("a.photo");
      const plain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
      if (link === null || !plain || link.querySelector("img.broken, .no-image")) return;
      event.preventDefault();
      held(true);
      this.show(link);
      dialog.showModal();
    });
    dialog.addEventListener("click", (event) => {
      if (event.target.closest("button, figcaption") === null) dialog.close();
    });
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    this.previous.addEventListener("click", () => this.step(-1));
    this.next.addEventListener("click", () => this.step(1));
    dialog.addEventListener("keydown", (event) => {
      const rtl = getComputedStyle(dialog).direction === "rtl" ? -1 : 1;
      const ways = { ArrowLeft: -rtl, ArrowRight: rtl };
      if (event.key in ways) this.step(ways[event.key]);
    });
    dialog.addEventListener("close", () => {
      this.image.removeAttribute("src");
      held(false);
    });
    new MutationObserver(() => this.check()).observe(list, { childList: true, subtree: true });
  }

  get photos() {
    return [...this.list.querySelectorAll("a.photo:has(img:not(.broken))")];
  }

  step(by) {
    const next = this.photos[this.photos.indexOf(this.link) + by];
    if (next !== undefined) this.show(next);
  }

  /** An edit puts a new link in the place of the old; a removal puts none. */
  check() {
    if (!this.dialog.open || this.link.isConnected) return;
    const same = this.photos.find((other) => other.href === this.link.href);
    if (same) this.show(same);
    else {
      // The event `close` comes a little after the call; a photo that was removed is not kept until then.
      this.image.removeAttribute("src");
      this.dialog.close();
    }
  }

  show(link) {
    const small = link.querySelector("img");
    const name = link.closest(".item")?.querySelector(".name")?.textContent ?? "";
    this.link = link;
    // The small one stands in until the large one is there, and for good where that cannot be had.
    this.image.src = small.currentSrc || small.src;
    this.image.alt = small.alt;
    this.alt.textContent = small.alt;
    this.credit.textContent = link.parentElement.querySelector("figcaption")?.textContent || name;
    this.alt.hidden = this.alt.textContent === this.credit.textContent;
    const large = new Image();
    large.src = link.href;
    large.decode().then(
      () => this.link === link && this.dialog.open && (this.image.src = large.src),
      () => {},
    );
    const photos = this.photos;
    const place = photos.indexOf(link);
    this.previous.disabled = place <= 0;
    this.next.disabled = place + 1 >= photos.length;
  }
}
