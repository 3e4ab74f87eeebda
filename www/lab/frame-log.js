// The live list of frames: bounded, drawn at most once per screen refresh, and never moved under a reader who scrolled up.

import { element, isAtEnd, scrollToEnd } from './dom.js';
import { excerpt } from './frames.js';
import { formatBytes, formatCount } from './numbers.js';

const MOST_ROWS = 300;
const MOST_CHARACTERS = 200;
const ARROWS = { in: '←', out: '→', note: '·' };
const SPOKEN = { in: 'received', out: 'sent', note: 'note' };

export class FrameLog {
  #list;
  #empty;
  #pending = [];
  #drawing = false;
  #paused = false;

  constructor(list, empty) {
    this.#list = list;
    this.#empty = empty;
  }

  add(frame) {
    this.#pending.push(frame);
    // While paused, or in a hidden tab, nothing is drawn: only what could still be shown is kept.
    if (this.#pending.length > MOST_ROWS) this.#pending.shift();
    this.#schedule();
  }

  note(text, at = NaN) {
    this.add({ direction: 'note', kind: 'note', text, size: NaN, at });
  }

  set paused(value) {
    this.#paused = value;
    if (!value) this.#schedule();
  }

  clear() {
    this.#pending = [];
    this.#list.replaceChildren();
    this.#empty.hidden = false;
  }

  #schedule() {
    if (this.#drawing || this.#paused) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      if (!this.#paused) this.#draw();
    });
  }

  #draw() {
    if (this.#pending.length === 0) return;
    const follow = isAtEnd(this.#list);
    this.#list.append(...this.#pending.map(row));
    this.#pending = [];
    while (this.#list.childElementCount > MOST_ROWS) this.#list.firstElementChild.remove();
    this.#empty.hidden = true;
    if (follow) scrollToEnd(this.#list);
  }
}

function row({ direction, kind, text, size, at }) {
  const { shown, hidden } = excerpt(text, kind === 'prelude' ? 24 : MOST_CHARACTERS);
  const body = element('code', { class: 'frame-text' }, shown);
  if (hidden > 0) body.append(element('span', { class: 'frame-more' }, ` … ${formatCount(hidden)} more characters`));
  return element(
    'div',
    { class: 'frame', 'data-direction': direction, 'data-kind': kind },
    element('span', { class: 'frame-time' }, Number.isFinite(at) ? `${(at / 1000).toFixed(3)} s` : ''),
    element(
      'span',
      { class: 'frame-arrow' },
      element('span', { 'aria-hidden': 'true' }, ARROWS[direction]),
      element('span', { class: 'visually-hidden' }, SPOKEN[direction]),
    ),
    element('span', { class: 'frame-kind' }, kind),
    body,
    element('span', { class: 'frame-size' }, Number.isFinite(size) ? formatBytes(size) : ''),
  );
}
