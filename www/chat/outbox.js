// What one has written and the server has not brought back yet. It goes out again after each reconnect, under the same
// id, by which the server takes it once.
//
// Events: `change` {room}.

import { recall, remember } from './memory.js';
import { randomId } from './random.js';

const NAME = 'outbox';
/** More at once is not written by hand. */
const MOST = 200;

export class Outbox extends EventTarget {
  #letters = [];

  constructor() {
    super();
    const kept = recall(NAME, 'sessionStorage');
    if (Array.isArray(kept)) this.#letters = kept.filter(isLetter);
  }

  /** What is on its way to a room, in its order: `{id, room, text, at, fault}`. */
  of(room) {
    return this.#letters.filter((letter) => letter.room === room);
  }

  /** All that has yet to be taken. */
  get open() {
    return this.#letters.filter(({ fault }) => fault === null);
  }

  get isFull() {
    return this.#letters.length >= MOST;
  }

  add(room, text) {
    const letter = { id: randomId(), room, text, at: Date.now(), fault: null };
    this.#letters.push(letter);
    this.#changed(room);
    return letter;
  }

  /** It has come back as a message. */
  arrived(id) {
    this.#drop((letter) => letter.id === id);
  }

  /** The server does not take it, and says why. */
  refused(id, fault) {
    const letter = this.#letters.find((letter) => letter.id === id);
    if (!letter) return;
    letter.fault = fault;
    this.#changed(letter.room);
  }

  /** One does not want it any more. */
  discard(id) {
    this.arrived(id);
  }

  /** One is not in that room any more. */
  left(room) {
    this.#drop((letter) => letter.room === room);
  }

  #drop(which) {
    const gone = this.#letters.filter(which);
    if (gone.length === 0) return;
    this.#letters = this.#letters.filter((letter) => !which(letter));
    for (const room of new Set(gone.map(({ room }) => room))) this.#changed(room);
  }

  #changed(room) {
    remember(NAME, this.#letters, 'sessionStorage');
    this.dispatchEvent(Object.assign(new Event('change'), { room }));
  }
}

function isLetter(letter) {
  return ['id', 'room', 'text'].every((name) => typeof letter?.[name] === 'string');
}
