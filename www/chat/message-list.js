// A long list of which only what is seen, and a little around it, is in the document.
//
// Heights are guessed until a row has been seen, and measured then. Whatever changes above, the row at the top of what is
// seen stays where it is; a list that shows its end goes on showing it.

const OVERSCAN_PX = 600;
const NEAR_START_PX = 1_200;
const AT_END_PX = 40;
const GUESS_PX = 64;

export class MessageList extends EventTarget {
  #scroller;
  #list;
  #source;
  /** Of each row, and whether it was measured. */
  #heights = [];
  #measured = [];
  /** Where each row begins; one more for the end of the last. */
  #tops = null;
  #rows = new Map();
  #followsEnd = true;
  #frame = null;
  #width = 0;

  /**
   * @param {HTMLElement} scroller what scrolls
   * @param {HTMLElement} list what holds the rows
   * @param {{count: () => number, key: (index: number) => string, row: (index: number) => HTMLElement}} source `key`
   *   changes when a row's looks do
   *
   * Events: `start` (what is seen is near the start), `scroll` (where one is has changed).
   */
  constructor(scroller, list, source) {
    super();
    this.#scroller = scroller;
    this.#list = list;
    this.#source = source;
    scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#resized()).observe(scroller);
  }

  /** Whether the end is seen, and followed. */
  get isAtEnd() {
    return this.#followsEnd;
  }

  /** All is new: shows the end. */
  reset() {
    this.#clear();
    this.#resize(0, this.#source.count());
    this.#followsEnd = true;
    this.#draw();
  }

  /** Rows have come at the start. */
  grewAtStart() {
    const count = Math.max(0, this.#source.count() - this.#heights.length);
    const anchor = this.#followsEnd ? null : this.#anchor();
    this.#heights.unshift(...new Array(count).fill(this.#guess()));
    this.#measured.unshift(...new Array(count).fill(false));
    this.#tops = null;
    this.#draw(anchor && { ...anchor, index: anchor.index + count });
  }

  /** Rows at the end have come, gone or changed. */
  changedAtEnd() {
    const [before, now] = [this.#heights.length, this.#source.count()];
    this.#resize(Math.min(before, now), now);
    this.#schedule();
  }

  /** Tells anew whether what is seen is near the start. */
  look() {
    if (this.#scroller.scrollTop < NEAR_START_PX) this.dispatchEvent(new Event('start'));
  }

  scrollToEnd() {
    this.#followsEnd = true;
    this.#draw();
  }

  /** Draws all rows again, as after a change of language. */
  redraw() {
    const anchor = this.#followsEnd ? null : this.#anchor();
    this.#clear();
    this.#draw(anchor);
  }

  #resize(kept, count) {
    const guess = kept === 0 ? GUESS_PX : this.#guess();
    this.#heights.length = kept;
    this.#measured.length = kept;
    for (let index = kept; index < count; index += 1) {
      this.#heights.push(guess);
      this.#measured.push(false);
    }
    this.#tops = null;
  }

  /** What a row is like that was not seen: as those that are. */
  #guess() {
    const drawn = [...this.#rows.values()].map(({ height }) => height).filter((height) => height > 0);
    return drawn.length === 0 ? GUESS_PX : drawn.reduce((sum, height) => sum + height, 0) / drawn.length;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#followsEnd = scrollHeight - scrollTop - clientHeight < AT_END_PX;
    this.#schedule();
    this.dispatchEvent(new Event('scroll'));
  }

  #resized() {
    const width = this.#scroller.clientWidth;
    if (width !== this.#width) this.#measured.fill(false);
    this.#width = width;
    this.#draw();
  }

  #schedule() {
    this.#frame ??= requestAnimationFrame(() => this.#draw());
  }

  #draw(anchor = this.#followsEnd ? null : this.#anchor()) {
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
    // Once with what is guessed, and again where a measured height has moved others into view.
    for (let round = 0; round < 3; round += 1) {
      this.#place(anchor);
      const [first, last] = this.#range();
      this.#fill(first, last);
      this.#pad(first, last);
      if (!this.#measure(first, last)) break;
    }
    this.#place(anchor);
    this.look();
  }

  /** Puts what is to be seen where it is to be seen. */
  #place(anchor) {
    const tops = this.#allTops();
    const height = this.#scroller.clientHeight;
    const wanted = anchor === null ? tops.at(-1) - height : (tops[anchor.index] ?? 0) + anchor.offset;
    this.#setTop(Math.max(0, wanted));
  }

  #setTop(top) {
    // The document may still be too short for it.
    const needed = top + this.#scroller.clientHeight;
    if (this.#scroller.scrollHeight < needed) this.#list.style.minHeight = `${Math.ceil(needed)}px`;
    if (Math.abs(this.#scroller.scrollTop - top) > 0.5) this.#scroller.scrollTop = top;
  }

  /** The row at the top of what is seen, and how far it is scrolled out. */
  #anchor() {
    if (this.#heights.length === 0) return null;
    const top = this.#scroller.scrollTop;
    const index = this.#indexAt(top);
    return { index, offset: top - this.#allTops()[index] };
  }

  #range() {
    if (this.#heights.length === 0) return [0, -1];
    const top = this.#scroller.scrollTop;
    return [this.#indexAt(top - OVERSCAN_PX), this.#indexAt(top + this.#scroller.clientHeight + OVERSCAN_PX)];
  }

  /** Which row is at this height. */
  #indexAt(top) {
    const tops = this.#allTops();
    let [low, high] = [0, this.#heights.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (tops[middle] <= top) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #allTops() {
    if (this.#tops !== null) return this.#tops;
    const tops = new Float64Array(this.#heights.length + 1);
    this.#heights.forEach((height, index) => (tops[index + 1] = tops[index] + height));
    this.#tops = tops;
    return tops;
  }

  /** Has exactly these rows in the document; those that are there already stay. */
  #fill(first, last) {
    const wanted = new Map();
    for (let index = first; index <= last; index += 1) wanted.set(this.#source.key(index), index);
    for (const [key, { element }] of this.#rows) {
      if (wanted.has(key)) continue;
      element.remove();
      this.#rows.delete(key);
    }
    let next = this.#list.firstElementChild;
    for (const [key, index] of wanted) {
      const row = this.#rows.get(key) ?? { element: this.#source.row(index), height: 0 };
      this.#rows.set(key, row);
      row.index = index;
      if (row.element === next) next = next.nextElementSibling;
      else this.#list.insertBefore(row.element, next);
    }
  }

  #pad(first, last) {
    const tops = this.#allTops();
    this.#list.style.minHeight = '';
    this.#list.style.paddingTop = `${last < first ? 0 : tops[first]}px`;
    this.#list.style.paddingBottom = `${last < first ? 0 : tops.at(-1) - tops[last + 1]}px`;
  }

  /** Measures rows that were not; whether any is other than was thought. */
  #measure(first, last) {
    let changed = false;
    for (const row of this.#rows.values()) {
      const { index, element } = row;
      if (index < first || index > last || (this.#measured[index] && row.height > 0)) continue;
      row.height = element.getBoundingClientRect().height;
      this.#measured[index] = true;
      if (Math.abs(this.#heights[index] - row.height) < 0.1) continue;
      this.#heights[index] = row.height;
      changed = true;
    }
    if (changed) this.#tops = null;
    if (changed) this.#pad(first, last);
    return changed;
  }

  #clear() {
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#measured.fill(false);
  }
}
