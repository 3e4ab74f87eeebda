// One client's connection as the tests see it, wherever the client runs.

import { CLOSE_MS, HEARTBEATS_MS, MESSAGES_MS, OPEN_MS } from './patience.js';

export class Connection {
  #ask;
  #vanish;
  #stop;

  /**
   * @param {object} means
   * @param {(method: string, args: unknown[], ms: number) => Promise<unknown>} means.ask calls the recorder's method
   * @param {(relay: object) => Promise<void>} means.vanish see vanish below
   * @param {() => Promise<void>} means.stop ends the client and frees what it used
   */
  constructor({ ask, vanish, stop }) {
    this.#ask = ask;
    this.#vanish = vanish;
    this.#stop = stop;
  }

  /** Resolves with the name of the transport that opened. */
  opened() {
    return this.#ask('opened', [OPEN_MS], OPEN_MS);
  }

  /** Sends all messages at once. */
  send(messages) {
    return this.#ask('send', [messages], MESSAGES_MS);
  }

  /** Resolves with all messages received so far, once there are `count`. */
  messages(count) {
    return this.#ask('messages', [count, MESSAGES_MS], MESSAGES_MS);
  }

  /** Sends one message after the other, each when an answer to the one before has come; resolves with all received. */
  converse(lines) {
    return this.#ask('converse', [lines, MESSAGES_MS], MESSAGES_MS);
  }

  /** Resolves once `count` heartbeats were seen after the open event. */
  heartbeats(count) {
    return this.#ask('heartbeats', [count, HEARTBEATS_MS], HEARTBEATS_MS);
  }

  /** Resolves with `{code, reason, wasClean}` of the close event. */
  closed() {
    return this.#ask('closed', [CLOSE_MS], CLOSE_MS);
  }

  /** Closes as an application does: by the client's own method. */
  close() {
    return this.#ask('close', [], CLOSE_MS);
  }

  /** Goes away without a word, as a killed process or a closed page does; `relay` is what the connection runs through. */
  vanish(relay) {
    return this.#vanish(relay);
  }

  /** For the end of a test. */
  stop() {
    return this.#stop();
  }
}
