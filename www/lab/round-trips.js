// Pairs each message with its echo. The echo service answers in order, so the oldest message waits for the next answer.

const MOST_WAITING = 10_000;

export class RoundTrips {
  #waiting = [];

  sent(text, now = performance.now()) {
    if (this.#waiting.length < MOST_WAITING) this.#waiting.push({ text, now });
  }

  /** The milliseconds since `text` was sent, or NaN when it is not the answer that was due. */
  answered(text, now = performance.now()) {
    if (this.#waiting[0]?.text !== text) return NaN;
    return now - this.#waiting.shift().now;
  }

  get waiting() {
    return this.#waiting.length;
  }

  forget() {
    this.#waiting = [];
  }
}
