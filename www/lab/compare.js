// The comparison: which transports to run, running them, and their figures as a table and a bar plot.

import { drawBars } from './bars.js';
import { element, hook } from './dom.js';
import { measure } from './measure.js';
import { formatBytes, formatCount, formatMs, median, p95, plural } from './numbers.js';
import { TRANSPORTS, unavailableBecause } from './transports.js';

// Browsers keep six connections to one host over HTTP/1.1, and a transport needs up to two of them.
const SIDE_BY_SIDE = 3;
const BOUNDS = { pings: { least: 1, most: 500 }, burst: { least: 1, most: 5_000 } };

const FIGURES = {
  'round-trip': {
    axis: 'round trip, ms: median / 95th percentile',
    value: ({ roundTrips }) => median(roundTrips),
    mark: ({ roundTrips }) => p95(roundTrips),
    label: ({ roundTrips }) => `${formatMs(median(roundTrips))} / ${formatMs(p95(roundTrips))}`,
  },
  open: {
    axis: 'time to open, ms',
    value: ({ openMs }) => openMs,
    label: ({ openMs }) => formatMs(openMs),
  },
  throughput: {
    axis: 'messages per second in a burst',
    value: ({ perSecond }) => perSecond,
    label: ({ perSecond }) => `${formatCount(perSecond)}/s`,
  },
};

export class Comparison {
  #url;
  #choices = hook('compare-transports');
  #form = hook('compare-form');
  #button = hook('compare-start');
  #status = hook('compare-status');
  #results = hook('compare-results');
  #body = hook('compare-table').querySelector('tbody');
  #figure = hook('compare-plot');
  #rows = new Map();
  #done = [];
  #running = null;

  constructor(url) {
    this.#url = url;
    this.#choices.append(...TRANSPORTS.map(choice));
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.#running) this.#running.abort();
      else this.#run();
    });
    hook('compare-figure').addEventListener('change', () => this.#draw());
    new ResizeObserver(() => this.#draw()).observe(this.#figure);
  }

  /** Marks what cannot run here, with the reason; `where` is what `unavailableBecause` asks for. */
  showSupport(where) {
    for (const box of this.#choices.querySelectorAll('input')) {
      const reason = unavailableBecause(box.value, where);
      box.disabled = reason !== null;
      if (reason !== null) box.checked = false;
      box.closest('label').querySelector('.choice-reason').textContent =
        reason === null ? '' : `Not available: ${reason}.`;
    }
  }

  stop() {
    this.#running?.abort();
  }

  async #run() {
    const chosen = [...this.#choices.querySelectorAll('input:checked')].map((box) => box.value);
    if (chosen.length === 0) {
      this.#status.textContent = 'Choose at least one transport.';
      return;
    }
    const pings = this.#number('pings');
    const burst = this.#number('burst');
    if (pings === null || burst === null) return;
    this.#running = new AbortController();
    this.#button.textContent = 'Stop';
    this.#status.textContent = `Measuring ${plural(chosen.length, 'transport')}…`;
    this.#begin(chosen);
    await this.#warmUp(chosen[0]);
    const atOnce = this.#form.elements['compare-order'].value === 'together' ? SIDE_BY_SIDE : 1;
    await inLanes(chosen, atOnce, (transport) => this.#measure(transport, pings, burst, this.#running.signal));
    const stopped = this.#running.signal.aborted;
    this.#running = null;
    this.#button.textContent = 'Compare';
    this.#status.textContent = stopped
      ? 'Stopped.'
      : `Done: ${this.#done.length} of ${plural(chosen.length, 'transport')} measured.`;
  }

  #number(name) {
    const input = this.#form.elements[`compare-${name}`];
    const { least, most } = BOUNDS[name];
    const value = input.valueAsNumber;
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    this.#status.textContent = `${input.labels[0].textContent.trim()}: a whole number from ${least} to ${formatCount(most)}, please.`;
    input.focus();
    return null;
  }

  #begin(chosen) {
    this.#done = [];
    this.#rows = new Map(chosen.map((transport) => [transport, waitingRow(transport)]));
    this.#body.replaceChildren(...this.#rows.values());
    this.#results.hidden = false;
    this.#draw();
  }

  /** The first connection of a page is slow for reasons that are not its transport's: one round is thrown away. */
  async #warmUp(transport) {
    const { signal } = this.#running;
    // What fails here fails again when it is measured, and is shown then.
    await measure({ url: this.#url, transport, pings: 3, burst: 1, signal, onProgress: () => {} }).catch(() => {});
  }

  async #measure(transport, pings, burst, signal) {
    const row = this.#rows.get(transport);
    if (signal.aborted) return finishRow(row, 'not run', 'stopped');
    row.dataset.state = 'running';
    const onProgress = (step) => {
      row.querySelector('.compare-step').textContent = step;
    };
    try {
      const result = await measure({ url: this.#url, transport, pings, burst, signal, onProgress });
      fillRow(row, result);
      this.#done.push(result);
      this.#draw();
    } catch (error) {
      finishRow(row, `failed: ${error.message}`, 'failed');
    }
  }

  #draw() {
    const name = hook('compare-figure').querySelector('input:checked').value;
    const { axis, value, mark, label } = FIGURES[name];
    const order = TRANSPORTS.map((transport) => transport.name);
    const rows = this.#done
      .slice()
      .sort((a, b) => order.indexOf(a.transport) - order.indexOf(b.transport))
      .map((result) => ({
        name: result.transport,
        value: value(result),
        mark: mark?.(result),
        label: label(result),
      }));
    const words = `${axis}: ${rows.map((row) => `${row.name} ${row.label}`).join(', ')}.`;
    drawBars(this.#figure, { rows, axis, words });
  }
}

/** Runs `work` on each item, at most `width` at a time, in order. */
async function inLanes(items, width, work) {
  const rest = [...items];
  const lane = async () => {
    while (rest.length > 0) await work(rest.shift());
  };
  await Promise.all(Array.from({ length: width }, lane));
}

function choice({ name }) {
  const box = element('input', { type: 'checkbox', name: 'compare-transport', value: name });
  box.checked = !name.startsWith('iframe-');
  return element(
    'label',
    { class: 'choice' },
    box,
    element('span', {}, element('span', { class: 'choice-name' }, name), element('span', { class: 'choice-reason' })),
  );
}

function waitingRow(transport) {
  return element(
    'tr',
    { 'data-transport': transport, 'data-state': 'waiting' },
    element('th', { scope: 'row' }, transport),
    element('td', { colspan: 6, class: 'compare-step' }, 'waiting'),
  );
}

function finishRow(row, sentence, state) {
  row.dataset.state = state;
  row.querySelector('.compare-step').textContent = sentence;
}

function fillRow(row, result) {
  const { openMs, roundTrips, perSecond, bytesPerTrip, requestsPerTrip, measured } = result;
  row.dataset.state = 'done';
  row.querySelector('.compare-step').remove();
  const cells = [
    formatMs(openMs),
    formatMs(median(roundTrips)),
    formatMs(p95(roundTrips)),
    `${formatCount(perSecond)}/s`,
    `${measured ? '' : '≈ '}${formatBytes(Math.round(bytesPerTrip))}`,
    requestsPerTrip.toFixed(1),
  ];
  row.append(...cells.map((text) => element('td', {}, text)));
}
