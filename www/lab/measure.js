// Measures one transport: time to open, round trips one at a time, then a burst. Shows nothing.

import { Connection } from './connection.js';

const OPEN_LIMIT_MS = 15_000;
const ANSWER_LIMIT_MS = 10_000;
const BURST_LIMIT_MS = 60_000;
// The stock client waits 25 ms after each HTTP send before the next, and Chromium hands streamed text to a page at
// most every 50 ms. Pings further apart than both measure the way there and back and not these waits.
const BETWEEN_PINGS_MS = 60;
// The browser files a response's timing shortly after its end.
const TIMINGS_SETTLE_MS = 80;
// A burst of the message size that chat-like applications have.
const FILLER = '·'.padEnd(48, 'x');

/**
 * Resolves with {transport, openMs, roundTrips, perSecond, bytesPerTrip, requestsPerTrip, measured}; rejects with a
 * sentence when the transport fails, takes too long, or `signal` is aborted. The connection is always closed.
 */
export async function measure({ url, transport, pings, burst, signal, onProgress }) {
  const probe = new Probe(url, transport, signal);
  try {
    onProgress('opening');
    await probe.opened();
    const before = probe.connection.traffic();
    const roundTrips = [];
    for (let n = 1; n <= pings; n += 1) {
      onProgress(`round trip ${n} of ${pings}`);
      roundTrips.push(await probe.roundTrip(`ping ${n}`));
      await probe.pause(BETWEEN_PINGS_MS);
    }
    await probe.pause(TIMINGS_SETTLE_MS);
    const after = probe.connection.traffic();
    onProgress(`burst of ${burst}`);
    const burstMs = await probe.burst(burst);
    return {
      transport,
      openMs: probe.connection.openMs,
      roundTrips,
      perSecond: (burst * 1000) / burstMs,
      bytesPerTrip: (after.received - before.received) / pings,
      requestsPerTrip: (after.requests - before.requests) / pings,
      measured: after.measured,
    };
  } finally {
    probe.stop();
  }
}

class Probe {
  #signal;
  #fail;
  #failed;
  #onMessage = () => {};
  #opened;

  constructor(url, transport, signal) {
    this.#signal = signal;
    this.#failed = new Promise((_, reject) => {
      this.#fail = (sentence) => reject(new Error(sentence));
    });
    // A failure that nobody waits for at this moment is met by the next wait.
    this.#failed.catch(() => {});
    signal.addEventListener('abort', this.#aborted);
    this.#opened = new Promise((resolve) => {
      this.connection = new Connection(url, transport, {
        onOpen: resolve,
        onMessage: (text) => this.#onMessage(text),
        onClose: ({ code, reason }) => this.#fail(`closed with ${code}${reason ? ` (${reason})` : ''}`),
      });
    });
    if (signal.aborted) this.#aborted();
  }

  #aborted = () => this.#fail('stopped');

  opened() {
    return this.#within(this.#opened, OPEN_LIMIT_MS, 'it did not open in time');
  }

  roundTrip(text) {
    const begun = performance.now();
    const answer = new Promise((resolve) => {
      this.#onMessage = (answered) => answered === text && resolve(performance.now() - begun);
    });
    this.connection.send(text);
    return this.#within(answer, ANSWER_LIMIT_MS, 'a message was not answered in time');
  }

  burst(count) {
    const begun = performance.now();
    let answered = 0;
    const all = new Promise((resolve) => {
      this.#onMessage = () => {
        answered += 1;
        if (answered === count) resolve(performance.now() - begun);
      };
    });
    for (let n = 0; n < count; n += 1) this.connection.send(`${n} ${FILLER}`);
    return this.#within(all, BURST_LIMIT_MS, 'the burst was not answered in time');
  }

  pause(ms) {
    return this.#race((resolve) => setTimeout(resolve, ms));
  }

  stop() {
    this.#signal.removeEventListener('abort', this.#aborted);
    this.connection.close();
  }

  #within(promise, ms, sentence) {
    return this.#race((resolve, reject) => {
      promise.then(resolve);
      return setTimeout(() => reject(new Error(sentence)), ms);
    });
  }

  async #race(start) {
    let timer;
    const waited = new Promise((resolve, reject) => {
      timer = start(resolve, reject);
    });
    try {
      return await Promise.race([waited, this.#failed]);
    } finally {
      clearTimeout(timer);
    }
  }
}
