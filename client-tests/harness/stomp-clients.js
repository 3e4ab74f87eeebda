// The STOMP clients that pages have, each behind the same few methods.

import { createRequire } from 'node:module';
import { Client } from '@stomp/stompjs';
import WebSocket from 'ws';
import { within } from './deadline.js';
import { MESSAGES_MS, OPEN_MS, clientOptions } from './patience.js';

const require = createRequire(import.meta.url);
const SockJS = require('sockjs-client');

/** What is tried with each client over sockjs-client: one transport of each kind. */
export const TRANSPORTS = ['websocket', 'xhr-streaming', 'xhr-polling'];

/** @stomp/stompjs over sockjs-client. */
export const stompjs7 = {
  name: '@stomp/stompjs 7 over sockjs-client',
  open: (url, transport) => new Stompjs7({ webSocketFactory: () => sockjs(url, transport) }),
};

/** @stomp/stompjs over a plain WebSocket. */
export const stompjs7Plain = {
  name: '@stomp/stompjs 7 over a plain WebSocket',
  open: (url) =>
    new Stompjs7({
      webSocketFactory: () => new WebSocket(`${url.replace('http', 'ws')}/websocket`, ['v12.stomp', 'v11.stomp']),
    }),
};

/** The stompjs of old tutorials, which speaks 1.1, over sockjs-client. */
export const stompjs2 = {
  name: 'stompjs 2.3 over sockjs-client',
  open: (url, transport) => {
    const { Stomp } = require('stompjs/lib/stomp.js');
    // What its browser build takes from the window.
    Object.assign(Stomp, { setInterval: (ms, run) => setInterval(run, ms), clearInterval });
    return new Callbacks(
      () => Stomp.over(sockjs(url, transport)),
      (client, destination, body, headers) => client.send(destination, headers, body),
    );
  },
};

/** webstomp-client over sockjs-client. */
export const webstomp = {
  name: 'webstomp-client over sockjs-client',
  open: (url, transport) =>
    new Callbacks(
      () => require('webstomp-client').over(sockjs(url, transport)),
      (client, destination, body, headers) => client.send(destination, body, headers),
    ),
};

/** A connection over one transport, as @stomp/stompjs wants to be given. */
export function sockjs(url, transport) {
  return new SockJS(url, null, clientOptions({ transports: [transport] }));
}

/** What all clients have in common: the frames that came, and ways to wait for them. */
class Inbox {
  frames = [];
  #waiting = new Set();

  push(frame) {
    const { headers, body } = frame;
    this.frames.push({ headers, body, ack: () => frame.ack(), nack: () => frame.nack() });
    for (const look of [...this.#waiting]) look();
  }

  /** Resolves with all bodies, once there are `count`. */
  bodies(count) {
    return within(
      MESSAGES_MS,
      () => `${count} messages, of which ${this.frames.length} came`,
      new Promise((resolve) => {
        const look = () => {
          if (this.frames.length < count) return;
          this.#waiting.delete(look);
          resolve(this.frames.map(({ body }) => body));
        };
        this.#waiting.add(look);
        look();
      }),
    );
  }
}

class Stompjs7 {
  #client;

  constructor(options) {
    this.#client = new Client({ ...options, reconnectDelay: 0 });
  }

  /** Resolves with the headers of CONNECTED, or rejects with those of ERROR. */
  connect(headers) {
    this.#client.connectHeaders = headers;
    const connected = new Promise((resolve, reject) => {
      this.#client.onConnect = (frame) => resolve(frame.headers);
      this.#client.onStompError = (frame) => reject(new Error(frame.headers.message));
      this.#client.onWebSocketClose = () => reject(new Error('closed before it was connected'));
    });
    this.#client.activate();
    return within(OPEN_MS, 'CONNECTED', connected);
  }

  /** Resolves with an inbox once the server has the subscription. */
  async subscribe(destination, headers = {}) {
    const inbox = new Inbox();
    const receipt = `subscribed ${destination}`;
    const subscribed = new Promise((resolve) => this.#client.watchForReceipt(receipt, resolve));
    this.#client.subscribe(destination, (message) => inbox.push(message), { ...headers, receipt });
    await within(MESSAGES_MS, receipt, subscribed);
    return inbox;
  }

  send(destination, body, headers = {}) {
    this.#client.publish({ destination, body, headers });
  }

  /** Resolves with the headers of the ERROR that comes next. */
  error() {
    const error = new Promise((resolve) => {
      this.#client.onStompError = (frame) => resolve(frame.headers);
    });
    return within(MESSAGES_MS, 'an ERROR frame', error);
  }

  stop() {
    return this.#client.deactivate({ force: true });
  }
}

/** stompjs 2.3 and webstomp-client, which share an interface but for the order of what is sent. */
class Callbacks {
  #make;
  #client;
  #send;

  constructor(make, send) {
    this.#make = make;
    this.#send = send;
  }

  connect(headers) {
    // Not before: these clients take a socket that has not opened yet.
    this.#client = this.#make();
    this.#client.debug = () => {};
    const connected = new Promise((resolve, reject) => {
      this.#client.connect(
        headers,
        (frame) => resolve(frame.headers),
        (frame) => {
          reject(new Error(frame.headers?.message ?? 'closed before it was connected'));
          this.onError?.(frame);
        },
      );
    });
    return within(OPEN_MS, 'CONNECTED', connected);
  }

  async subscribe(destination, headers = {}) {
    const inbox = new Inbox();
    const receipt = `subscribed ${destination}`;
    const subscribed = new Promise((resolve) => {
      this.#client.onreceipt = (frame) => frame.headers['receipt-id'] === receipt && resolve();
    });
    this.#client.subscribe(destination, (message) => inbox.push(message), { ...headers, receipt });
    await within(MESSAGES_MS, receipt, subscribed);
    return inbox;
  }

  send(destination, body, headers = {}) {
    this.#send(this.#client, destination, body, headers);
  }

  error() {
    const error = new Promise((resolve) => {
      this.onError = (frame) => frame.headers && resolve(frame.headers);
    });
    return within(MESSAGES_MS, 'an ERROR frame', error);
  }

  async stop() {
    this.#client?.ws.close();
  }
}
