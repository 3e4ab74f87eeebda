// Publishes through one node, one message after the other, and comes back when the node does.

import { setTimeout as pause } from 'node:timers/promises';
import { current } from '../harness/clients.js';

const COME_BACK_MS = 200;
const PATIENCE_MS = 12_000;
const OUTCOMES = ['accepted', 'refused', 'unknown'];

export class Publisher {
  /** What became of the messages; `cut`: the node was gone before it said. */
  outcomes = { accepted: [], refused: 0, unknown: 0, cut: 0 };
  isThere = false;
  #url;
  #name;
  #sock;
  #said = 0;
  #talking = null;
  #isHushed = false;
  #isHere = true;
  #answered = () => {};

  constructor(url, name) {
    this.#url = url;
    this.#name = name;
    this.#connect();
  }

  #connect() {
    const SockJS = current.load();
    this.#sock = new SockJS(`${this.#url}/ledger`, null, { transports: ['websocket'], timeout: PATIENCE_MS });
    this.#sock.onopen = () => {
      this.isThere = true;
    };
    this.#sock.onmessage = ({ data }) => {
      const [outcome, stamp, text] = data.split(' ');
      if (OUTCOMES.includes(outcome) && text.startsWith(`${this.#name}:`)) this.#answered({ outcome, stamp });
    };
    this.#sock.onclose = () => {
      this.isThere = false;
      this.#answered({ outcome: 'cut' });
      setTimeout(() => this.#isHere && this.#connect(), COME_BACK_MS);
    };
  }

  /** Publishes from now on, with so many milliseconds between an answer and the next message. */
  speak(ms) {
    this.#talking = (async () => {
      while (!this.#isHushed) {
        await this.say((this.#said += 1));
        await pause(ms);
      }
    })();
  }

  async hush() {
    this.#isHushed = true;
    await this.#talking;
  }

  /** Publishes one message; resolves with it as all clients get it, or null if that is not certain. */
  async say(what) {
    if (!this.isThere) return null;
    const text = `${this.#name}:${what}`;
    const answer = new Promise((resolve) => {
      this.#answered = resolve;
    });
    this.#sock.send(`publish ${text}`);
    const { outcome, stamp } = await answer;
    if (outcome !== 'accepted') {
      this.outcomes[outcome] += 1;
      return null;
    }
    const published = `published ${stamp} ${text}`;
    this.outcomes.accepted.push(published);
    return published;
  }

  leave() {
    this.#isHere = false;
    this.#sock.close();
  }
}
