// Which node one is on: of a WebSocket the one that carries it, otherwise whichever answered last.

import { fetchCluster, nodeOf, saysNode } from '../lab/cluster.js';

export class Whereabouts extends EventTarget {
  #node = null;
  #numbers = new Map();
  #asked = new Set();
  #service;

  constructor(service) {
    super();
    this.#service = service;
    if (saysNode()) this.#watchAnswers();
  }

  /** The node's id, or null where the server does not tell. */
  get node() {
    return this.#node;
  }

  /** The node's number in its cluster, or null. */
  numberOf(node) {
    return this.#numbers.get(node) ?? null;
  }

  /** The server has said which node it is. */
  told(node) {
    if (node === null || node === this.#node) return;
    this.#node = node;
    this.#findNumber(node);
    this.dispatchEvent(new Event('change'));
  }

  #watchAnswers() {
    const look = (list) => {
      const answers = list.getEntries().filter(({ name }) => name.startsWith(`${this.#service}/`));
      const last = answers.map(nodeOf).findLast((node) => node !== null);
      if (last) this.told(last);
    };
    new PerformanceObserver(look).observe({ type: 'resource' });
  }

  async #findNumber(node) {
    if (this.#numbers.has(node) || this.#asked.has(node) || !saysNode()) return;
    this.#asked.add(node);
    const cluster = await fetchCluster();
    for (const { id, number } of cluster?.nodes ?? []) if (id) this.#numbers.set(id, number);
    this.dispatchEvent(new Event('change'));
  }
}
