// The first section of the page: one connection to the echo service, its facts, its frames and its round trips.

import { describeClose } from './close-codes.js';
import { saysNode } from './cluster.js';
import { hook } from './dom.js';
import { FrameLog } from './frame-log.js';
import { formatBytes, formatCount, formatMs, plural } from './numbers.js';
import { LatencyPlot } from './plot.js';
import { RoundTrips } from './round-trips.js';
import { SteadyConnection } from './steady-connection.js';
import { aboutTransport } from './transports.js';

const MOST_PINGS = 1_000;
// For the reason that measure.js gives.
const BETWEEN_PINGS_MS = 60;

// A page sees no headers of a WebSocket's handshake, so the echo service of a server that says which node answers is asked
// over the socket itself.
const WHICH_NODE = 'which node?';
const NODE_SAID = /^node ([0-9a-f]{16})$/;

const STATES = {
  idle: { label: 'Not connected', button: 'Connect' },
  connecting: { label: 'Connecting', button: 'Cancel' },
  open: { label: 'Open', button: 'Disconnect' },
  waiting: { label: 'Reconnecting', button: 'Stop' },
  closed: { label: 'Closed', button: 'Connect' },
};

export class ConnectionPanel {
  #url;
  #select = hook('transport-select');
  #button = hook('connect');
  #again = hook('reconnect');
  #state = hook('state');
  #sentence = hook('state-message');
  #fields = hook('send-fields');
  #text = hook('message-text');
  #pingCount = hook('ping-count');
  #frames = new FrameLog(hook('frame-log'), hook('frame-log-empty'));
  #plot = new LatencyPlot(hook('plot'), hook('plot-summary'));
  #trips = new RoundTrips();
  #steady = null;
  #counts = noCounts();
  #pinging = null;
  #factsDue = false;
  #nodes;

  /** `nodes` is told which of them answers. */
  constructor(url, nodes) {
    this.#url = url;
    this.#nodes = nodes;
    this.#on('connect-form', () => this.#toggle());
    this.#on('message-form', () => this.#sendMessage());
    this.#on('ping-form', () => this.#sendPings());
    this.#select.addEventListener('change', () => this.#showAbout());
    hook('frames-clear').addEventListener('click', () => this.#frames.clear());
    hook('frames-pause').addEventListener('change', (event) => {
      this.#frames.paused = event.target.checked;
    });
    this.#showAbout();
    this.#show('idle', 'Choose a transport and connect.');
  }

  stop() {
    this.#steady?.stop();
  }

  #on(form, action) {
    hook(form).addEventListener('submit', (event) => {
      event.preventDefault();
      action();
    });
  }

  #showAbout() {
    hook('transport-about').textContent = aboutTransport(this.#select.value);
  }

  #toggle() {
    if (this.#steady) {
      this.#steady.stop();
      return;
    }
    this.#counts = noCounts();
    this.#plot.clear();
    this.#frames.clear();
    this.#nodes.clear();
    this.#select.disabled = true;
    this.#steady = new SteadyConnection(this.#url, this.#select.value, this.#handlers(), () => this.#again.checked);
  }

  #handlers() {
    return {
      onStart: () => this.#show('connecting', 'Asking the server what it offers…'),
      onAttempt: (name) => {
        this.#frames.note(`trying ${name}`);
        this.#show('connecting', `Trying ${name}…`);
      },
      onAttemptFailed: (name, code) => this.#frames.note(`${name} did not open (${code})`),
      onFrame: (frame) => this.#frame(frame),
      onFacts: () => this.#factsLater(),
      onAnswer: (answer) => this.#nodes.answered(answer),
      onOpen: () => this.#opened(),
      onMessage: (text) => this.#answered(text),
      onClose: (close) => this.#closed(close),
      onWaiting: ({ close, pause, attempt, of }) =>
        this.#show('waiting', `${describeClose(close)} Trying again in ${formatMs(pause)} (${attempt} of ${of}).`),
      onEnded: (close) => this.#ended(close),
    };
  }

  #frame(frame) {
    const count = this.#counts[frame.direction];
    count.frames += 1;
    count.bytes += frame.size;
    if (frame.kind === 'heartbeat') this.#counts.heartbeats += 1;
    this.#frames.add(frame);
    this.#factsLater();
  }

  #opened() {
    const { transport, openMs } = this.#steady.connection;
    this.#fields.disabled = false;
    this.#facts();
    if (transport === 'websocket' && saysNode()) this.#steady.send(WHICH_NODE);
    this.#show('open', `Open over ${transport} after ${formatMs(openMs)}.`);
  }

  #answered(text) {
    const node = NODE_SAID.exec(text)?.[1];
    if (node) this.#nodes.carriedBy(node);
    const ms = this.#trips.answered(text);
    if (Number.isNaN(ms)) return;
    this.#plot.add(ms);
    this.#pinging?.next();
  }

  #closed(close) {
    this.#trips.forget();
    this.#pinging?.stop();
    this.#frames.note(`closed: ${describeClose(close)}`);
    if (this.#fields.contains(document.activeElement)) this.#button.focus();
    this.#fields.disabled = true;
    this.#factsLater();
  }

  #ended(close) {
    this.#facts();
    this.#steady = null;
    this.#select.disabled = false;
    this.#show('closed', describeClose(close));
  }

  #send(text) {
    this.#trips.sent(text);
    this.#steady.send(text);
  }

  #sendMessage() {
    if (!this.#steady?.isOpen) return;
    this.#send(this.#text.value);
    this.#text.select();
  }

  #sendPings() {
    const wanted = this.#pingCount.valueAsNumber;
    if (!this.#steady?.isOpen || this.#pinging) return;
    if (!Number.isInteger(wanted) || wanted < 1 || wanted > MOST_PINGS) {
      this.#sentence.textContent = `Pings: a whole number from 1 to ${formatCount(MOST_PINGS)}, please.`;
      this.#pingCount.focus();
      return;
    }
    this.#pinging = new Pings(
      wanted,
      (text) => this.#send(text),
      () => {
        this.#pinging = null;
      },
    );
  }

  #show(state, sentence) {
    const { label, button } = STATES[state];
    this.#state.dataset.state = state;
    this.#state.textContent = label;
    this.#button.textContent = button;
    this.#sentence.textContent = sentence;
  }

  /** Facts may change with every frame of a burst: they are written once per screen refresh. */
  #factsLater() {
    if (this.#factsDue) return;
    this.#factsDue = true;
    requestAnimationFrame(() => {
      this.#factsDue = false;
      this.#facts();
    });
  }

  #facts() {
    const connection = this.#steady?.connection;
    if (!connection) return;
    const { in: received, out: sent, heartbeats } = this.#counts;
    const opened = Number.isFinite(connection.openMs);
    write('transport', opened ? connection.transport : '–');
    write('time-to-open', formatMs(connection.openMs));
    write(
      'time-to-open-parts',
      opened ? `info ${formatMs(connection.infoMs)}, then ${formatMs(connection.openMs - connection.infoMs)}` : '',
    );
    write('receivers', formatCount(connection.receivers));
    write('reconnects', formatCount(this.#steady.reconnects));
    write('received', `${plural(received.frames, 'frame')}, ${formatBytes(received.bytes)}`);
    write('sent', `${plural(sent.frames, 'frame')}, ${formatBytes(sent.bytes)}`);
    write('heartbeats', formatCount(heartbeats));
    write('session', connection.sessionId ?? '–');
  }
}

/** Sends `wanted` pings, each after the previous one was answered and a short pause. */
class Pings {
  #wanted;
  #send;
  #finished;
  #sent = 0;
  #timer = null;

  constructor(wanted, send, finished) {
    this.#wanted = wanted;
    this.#send = send;
    this.#finished = finished;
    this.#ping();
  }

  next() {
    if (this.#timer !== null) return;
    if (this.#sent === this.#wanted) this.#finished();
    else this.#timer = setTimeout(() => this.#ping(), BETWEEN_PINGS_MS);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#finished();
  }

  #ping() {
    this.#timer = null;
    this.#sent += 1;
    this.#send(`ping ${this.#sent}`);
  }
}

function noCounts() {
  return {
    in: { frames: 0, bytes: 0 },
    out: { frames: 0, bytes: 0 },
    heartbeats: 0,
  };
}

function write(name, text) {
  const place = hook(name);
  if (place.textContent !== text) place.textContent = text;
}
