// A horizontal bar plot of one figure per transport, with a mark for a second one (the 95th percentile) where there is one.

import { svgElement } from './dom.js';
import { ticksUpTo } from './numbers.js';

const TOP = 6;
const BELOW = 42;
const BAR = 16;
const NARROW = 480;

/**
 * Draws `rows` ({name, value, mark?, label}) into `figure`; `axis` names the unit and `words` says it all for those
 * who do not see it. Returns nothing; an empty list empties the figure.
 */
export function drawBars(figure, { rows, axis, words }) {
  if (rows.length === 0) {
    figure.replaceChildren();
    return;
  }
  const width = Math.max(figure.clientWidth, 260);
  const { row, left, labels, lift } = layoutFor(width, rows);
  const right = width - labels;
  const bottom = TOP + rows.length * row;
  const ticks = ticksUpTo(Math.max(...rows.flatMap(({ value, mark }) => [value, mark ?? 0])), width < NARROW ? 3 : 4);
  const x = (value) => left + (value / ticks.at(-1)) * (right - left);

  const size = { width, height: bottom + BELOW };
  const view = `0 0 ${size.width} ${size.height}`;
  const drawing = svgElement('svg', { viewBox: view, ...size, role: 'img', 'aria-label': words });
  for (const tick of ticks) {
    drawing.append(
      svgElement('line', { class: 'plot-grid', x1: x(tick), x2: x(tick), y1: TOP, y2: bottom }),
      svgElement('text', { class: 'plot-tick', x: x(tick), y: bottom + 16, 'text-anchor': 'middle' }, String(tick)),
    );
  }
  const middle = width < NARROW ? width / 2 : (left + right) / 2;
  drawing.append(
    svgElement('text', { class: 'plot-label', x: middle, y: bottom + 35, 'text-anchor': 'middle' }, axis),
    ...rows.flatMap((data, index) => bar(data, TOP + (index + 0.5) * row, { left, lift, x })),
  );
  figure.replaceChildren(drawing);
}

/** Names stand beside the bars where there is room, and above them (lifted) where there is not. */
function layoutFor(width, rows) {
  const labels = rows.some(({ mark }) => mark !== undefined) ? 116 : 76;
  if (width < NARROW) return { row: 44, left: 8, labels, lift: 14 };
  return { row: 30, left: 138, labels, lift: 0 };
}

function bar({ name, value, mark, label }, middle, { left, lift, x }) {
  const centre = middle + lift / 2;
  const end = Math.max(x(value), left + 1.5);
  const place = lift > 0 ? { x: left, y: centre - BAR } : { x: left - 10, y: centre + 4, 'text-anchor': 'end' };
  const nodes = [
    svgElement('text', { class: 'plot-name', ...place }, name),
    svgElement('rect', { class: 'plot-bar', x: left, y: centre - BAR / 2, width: end - left, height: BAR, rx: 2 }),
  ];
  let after = end;
  if (mark !== undefined) {
    after = Math.max(x(mark), end);
    nodes.push(
      svgElement('line', { class: 'plot-whisker', x1: end, x2: after, y1: centre, y2: centre }),
      svgElement('line', { class: 'plot-whisker', x1: after, x2: after, y1: centre - 5, y2: centre + 5 }),
    );
  }
  nodes.push(svgElement('text', { class: 'plot-value', x: after + 7, y: centre + 4 }, label));
  return nodes;
}
