// One SockJS connection from start to end, with what the page wants to know about it.
//
// It does not reconnect (steady-connection.js does) and shows nothing.

import { kindOf } from './frames.js';
import { utf8Length } from './numbers.js';
import { observedClass } from './observed-sockjs.js';
import { TrafficMeter, frameWindow } from './traffic.js';
import { AUTOMATIC, transportNamed } from './transports.js';

// Browsers report 300 bytes for the head of each response, whatever its true size.
const REPORTED_HEAD = 300;
// The client gives a transport some 300 to 900 ms before it tries the next. One that was chosen by name has no next.
const PATIENCE_MS = 10_000;
const ID_ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

/**
 * Handlers, all optional: onAttempt(name), onAttemptFailed(name, code, reason), onFrame(frame), onFacts(),
 * onAnswer({node, kind}), onOpen(), onMessage(text), onClose({code, reason, wasOpen}).
 *
 * A frame is {direction: "in" | "out", kind, text, size, at}; `at` is milliseconds since the connection was begun.
 */
export class Connection {
  transport = null;
  sessionId = null;
  infoMs = NaN;
  openMs = NaN;

  #handlers;
  #sock;
  #meter = null;
  #started = performance.now();
  #windowId = null;
  #receivers = 0;
  #sends = 0;
  #runningBytes = 0;
  #finished = false;

  constructor(url, transport, handlers) {
    this.#handlers = handlers;
    const Sock = observedClass(globalThis.SockJS);
    const options = { sessionId: () => this.#nextSession() };
    if (transport !== AUTOMATIC) Object.assign(options, { transports: transport, timeout: PATIENCE_MS });
    this.#sock = new Sock(url, options, this.#watcher());
    this.#sock.onopen = () => this.#opened();
    this.#sock.onmessage = (event) => this.#tell('onMessage', event.data);
    this.#sock.onclose = (event) => this.#closed(event);
  }

  get isOpen() {
    return this.#sock.readyState === 1;
  }

  send(text) {
    this.#sock.send(text);
  }

  close(code = 1000, reason = 'Normal closure') {
    this.#sock.close(code, reason);
  }

  /** How many responses (or sockets) have carried frames down so far. */
  get receivers() {
    const inFrame = this.#meter?.endedReceivers ?? 0;
    return this.#windowId && this.#receivers > 0 ? inFrame + 1 : this.#receivers;
  }

  /** Requests begun, and bytes received; `measured` is false where part of the bytes had to be reckoned. */
  traffic() {
    this.#meter?.refresh();
    const { requests: reported = 0, receivedBytes = 0 } = this.#meter ?? {};
    const requests = this.#windowId ? reported + 1 : this.#receivers + this.#sends;
    // All but the receiver that runs now have ended; some, such as the forms of jsonp-polling, are never reported.
    const unreported = Math.max(requests - 1 - reported, 0) * REPORTED_HEAD;
    const running = transportNamed(this.transport)?.streams ? this.#runningBytes : 0;
    return {
      requests,
      received: receivedBytes + unreported + running,
      measured: unreported + running === 0,
    };
  }

  #watcher() {
    return {
      onInfo: (_info, rtt) => {
        this.infoMs = rtt ?? NaN;
      },
      onAttempt: (name, windowId) => {
        this.#windowId = windowId;
        this.#receivers = 0;
        this.#sends = 0;
        this.transport = name;
        this.#tell('onAttempt', name);
      },
      onAttemptFailed: (name, code, reason) => this.#tell('onAttemptFailed', name, code, reason),
      onReceiver: () => {
        this.#receivers += 1;
        this.#runningBytes = transportNamed(this.transport)?.prelude ?? 0;
        this.#tell('onFacts');
      },
      onFrame: (text) => this.#frame('in', kindOf(text), text),
      onSent: (text) => {
        if (this.transport !== 'websocket') this.#sends += 1;
        this.#frame('out', 'send', text);
      },
    };
  }

  #nextSession() {
    this.#meter?.stop();
    const random = crypto.getRandomValues(new Uint8Array(12));
    this.sessionId = Array.from(random, (byte) => ID_ALPHABET[byte % ID_ALPHABET.length]).join('');
    let ended = 0;
    const changed = () => {
      // In a hidden frame only the timings tell that a receiver has ended and the next one runs.
      if (this.#windowId && this.#meter.endedReceivers > ended) {
        ended = this.#meter.endedReceivers;
        this.#runningBytes = transportNamed(this.transport)?.prelude ?? 0;
      }
      this.#tell('onFacts');
    };
    this.#meter = new TrafficMeter(this.sessionId, changed, (answer) => this.#tell('onAnswer', answer));
    return this.sessionId;
  }

  #frame(direction, kind, text) {
    const size = utf8Length(text);
    if (direction === 'in') this.#runningBytes += size + (transportNamed(this.transport)?.framing?.(size) ?? 0);
    this.#tell('onFrame', {
      direction,
      kind,
      text,
      size,
      at: performance.now() - this.#started,
    });
  }

  #opened() {
    this.openMs = performance.now() - this.#started;
    this.transport = this.#sock.transport;
    const frame = this.#windowId ? frameWindow(this.#windowId) : null;
    if (frame) this.#meter?.follow(frame);
    this.#tell('onOpen');
  }

  #closed({ code, reason }) {
    if (this.#finished) return;
    this.#finished = true;
    this.#meter?.stop();
    this.#tell('onClose', {
      code,
      reason,
      wasOpen: Number.isFinite(this.openMs),
    });
  }

  #tell(name, ...values) {
    this.#handlers[name]?.(...values);
  }
}
