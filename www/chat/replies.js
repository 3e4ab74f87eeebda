// Questions to the server's chat, and its answers, which come on a queue of this session.

import { randomId } from './random.js';

const PATIENCE_MS = 15_000;

export class Replies {
  #waiting = new Map();
  #others;

  /** `others` gets what nobody has asked for. */
  constructor(others) {
    this.#others = others;
  }

  /** A number for a question, and the promise of its answer. */
  expect() {
    const request = randomId();
    const answer = new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(request, 'no answer came'), PATIENCE_MS);
      this.#waiting.set(request, { resolve, reject, timer });
    });
    return { request, answer };
  }

  take(text) {
    const reply = JSON.parse(text);
    const asked = this.#waiting.get(reply.request);
    if (!asked) {
      this.#others(reply);
      return;
    }
    this.#waiting.delete(reply.request);
    clearTimeout(asked.timer);
    asked.resolve(reply);
  }

  /** The connection is lost, and with it the answers. */
  giveUp() {
    for (const request of [...this.#waiting.keys()]) this.#fail(request, 'the connection was lost');
  }

  #fail(request, why) {
    const asked = this.#waiting.get(request);
    this.#waiting.delete(request);
    clearTimeout(asked.timer);
    asked.reject(new Error(why));
  }
}
