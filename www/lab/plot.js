// The latency plot: one dot per answered message, a line at the median and one at the 95th percentile.
//
// Drawn anew at the width of its box, so that its text keeps its size on a phone.

import { svgElement } from './dom.js';
import { formatMs, median, p95, plural, ticksUpTo } from './numbers.js';

const MOST_SAMPLES = 120;
const EMPTY_TOP_MS = 20;
const MARGIN = { top: 14, right: 16, bottom: 40, left: 56 };

export class LatencyPlot {
  #figure;
  #summary;
  #samples = [];
  #count = 0;
  #drawing = false;

  /** `figure` is the box that holds the drawing, `summary` the line that says the same in words. */
  constructor(figure, summary) {
    this.#figure = figure;
    this.#summary = summary;
    new ResizeObserver(() => this.#schedule()).observe(figure);
    this.#schedule();
  }

  add(ms) {
    this.#count += 1;
    this.#samples.push(ms);
    if (this.#samples.length > MOST_SAMPLES) this.#samples.shift();
    this.#schedule();
  }

  clear() {
    this.#samples = [];
    this.#count = 0;
    this.#schedule();
  }

  #schedule() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#draw();
    });
  }

  #draw() {
    const words = this.#words();
    this.#summary.textContent = words;
    const width = Math.max(this.#figure.clientWidth, 220);
    const height = Math.max(this.#figure.clientHeight, 160);
    const box = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
    const ticks = ticksUpTo(this.#samples.length > 0 ? Math.max(...this.#samples, 1) * 1.05 : EMPTY_TOP_MS);
    const y = (ms) => box.bottom - (ms / ticks.at(-1)) * (box.bottom - box.top);
    const x = (index) => box.left + ((index + 0.5) / MOST_SAMPLES) * (box.right - box.left);
    const drawing = svgElement('svg', {
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: 'img',
      'aria-label': words,
    });
    drawing.append(...this.#axes(box, ticks, y, x));
    if (this.#samples.length > 0) drawing.append(...this.#marks(box, y, x));
    this.#figure.replaceChildren(drawing);
  }

  #axes(box, ticks, y, x) {
    const lines = ticks.flatMap((tick) => [
      svgElement('line', { class: 'plot-grid', x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }),
      svgElement('text', { class: 'plot-tick', x: box.left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, String(tick)),
    ]);
    const first = this.#count - this.#samples.length;
    const numbers = [0, 29, 59, 89, 119].map((index) =>
      svgElement(
        'text',
        { class: 'plot-tick', x: x(index), y: box.bottom + 17, 'text-anchor': 'middle' },
        String(first + index + 1),
      ),
    );
    const middle = (box.top + box.bottom) / 2;
    return [
      ...lines,
      ...numbers,
      svgElement(
        'text',
        { class: 'plot-label', x: (box.left + box.right) / 2, y: box.bottom + 34, 'text-anchor': 'middle' },
        'message number',
      ),
      svgElement(
        'text',
        { class: 'plot-label', transform: `translate(13 ${middle}) rotate(-90)`, 'text-anchor': 'middle' },
        'round trip, ms',
      ),
    ];
  }

  #marks(box, y, x) {
    const level = (ms, name) =>
      svgElement('line', { class: `plot-${name}`, x1: box.left, x2: box.right, y1: y(ms), y2: y(ms) });
    const path = this.#samples
      .map((ms, index) => `${index === 0 ? 'M' : 'L'}${x(index).toFixed(1)} ${y(ms).toFixed(1)}`)
      .join('');
    const last = this.#samples.length - 1;
    return [
      level(median(this.#samples), 'median'),
      level(p95(this.#samples), 'p95'),
      svgElement('path', { class: 'plot-line', d: path }),
      ...this.#samples.map((ms, index) =>
        svgElement('circle', {
          class: index === last ? 'plot-dot plot-dot-last' : 'plot-dot',
          cx: x(index),
          cy: y(ms),
          r: index === last ? 4 : 2.2,
        }),
      ),
    ];
  }

  #words() {
    if (this.#samples.length === 0) return 'No round trip measured yet.';
    const of =
      this.#count > this.#samples.length
        ? `last ${this.#samples.length} of ${plural(this.#count, 'message')}`
        : plural(this.#count, 'message');
    return `Median ${formatMs(median(this.#samples))}, 95th percentile ${formatMs(p95(this.#samples))}, last ${formatMs(this.#samples.at(-1))} (${of}).`;
  }
}
