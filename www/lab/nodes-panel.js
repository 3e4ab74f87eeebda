// The nodes behind the page: which of them answered each request of the connection above, and, where the page is served
// by `sockhop cluster`, what each is at and buttons to drain, kill and start it.

import { fetchCluster, order, saysNode } from './cluster.js';
import { element, hook } from './dom.js';
import { formatCount, plural } from './numbers.js';

const LOOK_MS = 1_000;
const LOOK_AFTER_ORDER_MS = 200;
const MOST_HOPS = 120;
const COLOURS = 9;

const PHASES = {
  starting: { label: 'Starting', state: 'connecting' },
  running: { label: 'Running', state: 'open' },
  draining: { label: 'Draining', state: 'waiting' },
  ended: { label: 'Ended', state: 'ended' },
};

const ORDERS = {
  drain: {
    label: 'Drain',
    when: ['starting', 'running'],
    told: 'was told to drain',
  },
  kill: {
    label: 'Kill',
    when: ['starting', 'running', 'draining'],
    told: 'was killed',
  },
  start: { label: 'Start', when: ['ended'], told: 'was started again' },
};

export class NodesPanel {
  #section = hook('nodes');
  #list = hook('node-list');
  #hops = hook('node-hops');
  #summary = hook('node-summary');
  #status = hook('node-status');
  #socketNote = hook('node-socket');
  #token = null;
  #cards = new Map();
  #numbers = new Map();
  #counts = new Map();
  #answers = 0;
  #changes = 0;
  #last = null;
  #timer = null;

  /** Shows itself only where answers name their nodes. */
  async start() {
    if (!saysNode()) return;
    this.#section.hidden = false;
    hook('nodes-link').hidden = false;
    this.clear();
    await this.#look();
  }

  stop() {
    clearTimeout(this.#timer);
  }

  clear() {
    this.#hops.replaceChildren();
    this.#counts.clear();
    this.#answers = 0;
    this.#changes = 0;
    this.#last = null;
    this.#socketNote.textContent = '';
    this.#summarize();
    for (const card of this.#cards.values()) card.count(0);
  }

  /** A request of the connection was answered by a node. */
  answered({ node, kind }) {
    this.#answers += 1;
    if (this.#last !== null && this.#last !== node) this.#changes += 1;
    this.#last = node;
    const number = this.#numberOf(node);
    this.#counts.set(number, (this.#counts.get(number) ?? 0) + 1);
    this.#cards.get(number)?.count(this.#counts.get(number));
    const name = this.#nameOf(number, node);
    this.#hops.append(
      element(
        'li',
        {
          class: 'hop',
          'data-colour': colour(number),
          title: `${kind} answered by ${name}`,
        },
        element('span', { class: 'visually-hidden' }, 'node '),
        element('span', { class: 'hop-node' }, String(number)),
        ' ',
        element('span', { class: 'hop-kind' }, kind),
      ),
    );
    while (this.#hops.childElementCount > MOST_HOPS) this.#hops.firstElementChild.remove();
    this.#summarize();
  }

  /** The connection is a WebSocket that this node carries. */
  carriedBy(node) {
    const name = this.#nameOf(this.#numberOf(node), node);
    this.#socketNote.textContent = `The WebSocket is carried by ${name}: it stays there until one of the two ends.`;
  }

  #summarize() {
    const nodes = this.#counts.size;
    this.#summary.textContent =
      this.#answers === 0
        ? 'Connect above, and each answered request shows here, with the node that answered it.'
        : `${plural(this.#answers, 'request')} answered by ${plural(nodes, 'node')}; the session went to another node ${plural(this.#changes, 'time')}.`;
  }

  #numberOf(id) {
    if (!this.#numbers.has(id)) this.#numbers.set(id, this.#token ? '?' : this.#numbers.size + 1);
    return this.#numbers.get(id);
  }

  #nameOf(number, id) {
    return number === '?' ? `node ${id}` : `node ${number} (${id})`;
  }

  async #look() {
    clearTimeout(this.#timer);
    const cluster = document.hidden ? undefined : await fetchCluster();
    if (cluster) this.#show(cluster);
    if (cluster === null && this.#token === null) return;
    if (cluster === null) this.#status.textContent = 'The cluster does not answer.';
    this.#timer = setTimeout(() => this.#look(), LOOK_MS);
  }

  #show({ token, nodes }) {
    this.#token = token;
    for (const node of nodes) {
      if (node.id) this.#numbers.set(node.id, node.number);
      const card = this.#cards.get(node.number) ?? this.#card(node.number);
      const before = card.show(node);
      if (before && before !== node.phase && node.phase === 'ended') {
        this.#status.textContent = `Node ${node.number} ${node.how}.`;
      }
    }
  }

  #card(number) {
    const card = new NodeCard(number, (what) => this.#order(number, what));
    this.#cards.set(number, card);
    this.#list.append(card.row);
    card.count(this.#counts.get(number) ?? 0);
    return card;
  }

  async #order(number, what) {
    const taken = await order(this.#token, number, what);
    this.#status.textContent = taken
      ? `Node ${number} ${ORDERS[what].told}.`
      : `Node ${number} did not take that: its state may just have changed.`;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), LOOK_AFTER_ORDER_MS);
  }
}

/** One node of the cluster. */
class NodeCard {
  #phase = null;
  #pill = element('span', { class: 'pill' });
  #count = element('span', { class: 'node-count' });
  #about = element('p', { class: 'hint node-about' });
  #buttons = {};

  constructor(number, order) {
    this.#pill.dataset.testid = `node-${number}-state`;
    for (const [what, { label }] of Object.entries(ORDERS)) {
      const button = element(
        'button',
        {
          class: 'button button-small',
          type: 'button',
          'data-testid': `node-${number}-${what}`,
        },
        label,
        element('span', { class: 'visually-hidden' }, ` node ${number}`),
      );
      button.addEventListener('click', () => order(what));
      this.#buttons[what] = button;
    }
    this.row = element(
      'li',
      {
        class: 'node',
        'data-testid': `node-${number}`,
        'data-colour': colour(number),
      },
      element(
        'div',
        { class: 'node-head' },
        element('span', { class: 'node-number', 'aria-hidden': 'true' }, String(number)),
        element('h3', {}, `Node ${number}`),
        this.#pill,
      ),
      this.#about,
      this.#count,
      element('div', { class: 'node-buttons' }, ...Object.values(this.#buttons)),
    );
  }

  /** Shows what a node is at, and says what it was before. */
  show({ phase, id, pid, how }) {
    const before = this.#phase;
    const { label, state } = PHASES[phase] ?? { label: phase, state: 'idle' };
    if (before !== phase) {
      this.#phase = phase;
      this.#pill.textContent = label;
      this.#pill.dataset.state = state;
      const focused = Object.values(this.#buttons).includes(document.activeElement);
      for (const [what, { when }] of Object.entries(ORDERS)) this.#buttons[what].disabled = !when.includes(phase);
      // A button that was pressed and is of no use now hands the focus to one that is.
      if (focused && document.activeElement?.disabled !== false) this.#firstEnabled()?.focus();
    }
    const about = phase === 'ended' ? `It ${how ?? 'ended'}.` : `${id ?? 'not ready yet'}, process ${pid}`;
    if (this.#about.textContent !== about) this.#about.textContent = about;
    return before;
  }

  count(answers) {
    this.#count.textContent = `${formatCount(answers)} answered`;
  }

  #firstEnabled() {
    return Object.values(this.#buttons).find((button) => !button.disabled);
  }
}

function colour(number) {
  return Number.isInteger(number) ? ((number - 1) % COLOURS) + 1 : 0;
}
