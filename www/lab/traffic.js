// Counts the HTTP requests of one session and their bytes, from the browser's resource timings.
//
// The timings name every finished response whose path holds the session's id. They know nothing of WebSocket frames
// nor of a response that still runs. Hidden frames keep timings of their own and are followed once they have loaded.

import { nodeOf } from './cluster.js';

const RECEIVER = /\/(xhr|xhr_streaming|eventsource|htmlfile|jsonp)(\?|$)/;
const ENDPOINT = /\/([a-z_]+)(\?|$)/;
const KINDS = {
  xhr: 'poll',
  jsonp: 'poll',
  xhr_send: 'send',
  jsonp_send: 'send',
};

export class TrafficMeter {
  requests = 0;
  receivedBytes = 0;
  endedReceivers = 0;

  #part;
  #onChange;
  #onAnswer;
  #observers = [];
  #windows = new Set();

  /** `onAnswer({node, kind})` is called for each request whose answer names its node. */
  constructor(sessionId, onChange = () => {}, onAnswer = () => {}) {
    this.#part = `/${sessionId}/`;
    this.#onChange = onChange;
    this.#onAnswer = onAnswer;
    this.follow(globalThis);
  }

  /** Also counts the requests that `frame` (a window of this origin) makes or has made. */
  follow(frame) {
    if (this.#windows.has(frame)) return;
    this.#windows.add(frame);
    try {
      const observer = new frame.PerformanceObserver((list) => this.#take(list.getEntries()));
      observer.observe({ type: 'resource', buffered: frame !== globalThis });
      this.#observers.push(observer);
    } catch {
      // A frame of another origin, or a browser without resource timings: its requests stay uncounted.
    }
  }

  /** Takes what the browser has recorded but not yet handed over. */
  refresh() {
    for (const observer of this.#observers) this.#take(observer.takeRecords());
  }

  stop() {
    this.refresh();
    for (const observer of this.#observers) observer.disconnect();
    this.#observers = [];
  }

  #take(entries) {
    let changed = false;
    for (const entry of entries) {
      if (!entry.name.includes(this.#part)) continue;
      changed = true;
      this.requests += 1;
      this.receivedBytes += entry.transferSize ?? 0;
      if (RECEIVER.test(entry.name)) this.endedReceivers += 1;
      const node = nodeOf(entry);
      if (node) this.#onAnswer({ node, kind: kindOf(entry.name) });
    }
    if (changed) this.#onChange();
  }
}

function kindOf(url) {
  const endpoint = ENDPOINT.exec(url)?.[1];
  return KINDS[endpoint] ?? 'stream';
}

/** The window of the hidden frame that the client made for this window id, or null. */
export function frameWindow(windowId) {
  const frames = document.querySelectorAll('iframe');
  return [...frames].find((frame) => frame.src.endsWith(`#${windowId}`))?.contentWindow ?? null;
}
