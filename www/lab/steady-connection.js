// Keeps one connection open: when an open one is lost for a reason that may pass, it opens another after a pause.

import { Connection } from './connection.js';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
const TRIES = 8;

// Lost, going away, restarting, busy, cannot connect, messages missed, server going away. What the application
// decided (3000 and most of 4000 up) and what would only happen again is left alone.
const MAY_PASS = new Set([1001, 1002, 1006, 1012, 1013, 2000, 4504, 4505]);

/**
 * Handlers are those of `Connection`, and onStart(connection), onWaiting({close, pause, attempt, of}), onEnded(close).
 * `onClose` still tells every end; after it comes either `onWaiting` or `onEnded`.
 */
export class SteadyConnection {
  reconnects = 0;

  #url;
  #transport;
  #handlers;
  #retries;
  #connection = null;
  #timer = null;
  #tries = 0;
  #everOpen = false;
  #stopped = false;

  /** `retries` is asked at each loss whether another connection is wanted. */
  constructor(url, transport, handlers, retries) {
    this.#url = url;
    this.#transport = transport;
    this.#handlers = handlers;
    this.#retries = retries;
    this.#open();
  }

  get connection() {
    return this.#connection;
  }

  get isOpen() {
    return this.#connection?.isOpen ?? false;
  }

  send(text) {
    this.#connection?.send(text);
  }

  stop() {
    if (this.#stopped) return;
    this.#stopped = true;
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
      this.#handlers.onEnded({ code: 1000, reason: '' });
      return;
    }
    this.#connection.close();
  }

  #open() {
    this.#timer = null;
    this.#connection = new Connection(this.#url, this.#transport, {
      ...this.#handlers,
      onOpen: () => this.#opened(),
      onClose: (close) => this.#closed(close),
    });
    this.#handlers.onStart?.(this.#connection);
  }

  #opened() {
    if (this.#everOpen) this.reconnects += 1;
    this.#everOpen = true;
    this.#tries = 0;
    this.#handlers.onOpen?.();
  }

  #closed(close) {
    this.#handlers.onClose?.(close);
    const again =
      !this.#stopped && this.#everOpen && this.#tries < TRIES && MAY_PASS.has(close.code) && this.#retries();
    if (!again) {
      this.#stopped = true;
      this.#handlers.onEnded(close);
      return;
    }
    // The random part keeps many pages that lost the same server from coming back in one moment.
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.#tries, LONGEST_PAUSE_MS) * (0.75 + Math.random() / 2);
    this.#tries += 1;
    this.#timer = setTimeout(() => this.#open(), pause);
    this.#handlers.onWaiting?.({ close, pause, attempt: this.#tries, of: TRIES });
  }
}
