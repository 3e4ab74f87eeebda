// A client of the chat without a page: it says much in short time, and what the page would not say.

import { Client } from '@stomp/stompjs';
import WebSocket from 'ws';
import { within } from './deadline.js';
import { OPEN_MS } from './patience.js';

/** A room that no other test knows. */
export const newRoom = () => `room-${crypto.randomUUID().slice(0, 8)}`;

/** Connects to the chat at `url`; rejects with the server's ERROR frame when that lets nobody in. */
export async function connectToChat(url, { login = 'Robot', passcode = 'r'.repeat(32) } = {}) {
  const client = new ChatClient(url, { login, passcode });
  await within(OPEN_MS, 'the chat to let a client in', client.connected);
  return client;
}

class ChatClient {
  #client;
  #refused;
  #receipts = 0;

  constructor(url, connectHeaders) {
    const address = `${url.replace('http', 'ws')}/demo/chat/websocket`;
    this.#client = new Client({
      webSocketFactory: () => new WebSocket(address),
      connectHeaders,
      reconnectDelay: 0,
      heartbeatIncoming: 0,
      heartbeatOutgoing: 0,
    });
    this.#refused = new Promise((resolve) => (this.#client.onStompError = resolve));
    this.connected = new Promise((resolve, reject) => {
      this.#client.onConnect = resolve;
      this.#refused.then(({ headers, body }) => reject(new Error(`${headers.message}: ${body}`)));
    });
    this.#client.activate();
  }

  /** The ERROR frame that ends the connection. */
  refusal() {
    return within(OPEN_MS, 'an ERROR frame', this.#refused);
  }

  /** Sends, and resolves once the server has handled it. */
  async send(destination, body, headers = {}) {
    const receipt = `r${(this.#receipts += 1)}`;
    const handled = new Promise((resolve) => this.#client.watchForReceipt(receipt, resolve));
    this.#client.publish({ destination, body, headers: { ...headers, receipt } });
    await within(OPEN_MS, `the receipt of ${destination}`, handled);
  }

  /** Says something in a room, under an id of its own. */
  say(room, text, id = crypto.randomUUID()) {
    return this.send(`/app/chat/rooms/${room}/say`, text, { id });
  }

  /** Says many things in a room, in their order. */
  async sayAll(room, texts) {
    const last = texts.length - 1;
    for (const text of texts.slice(0, last)) {
      const destination = `/app/chat/rooms/${room}/say`;
      this.#client.publish({ destination, body: text, headers: { id: crypto.randomUUID() } });
    }
    await this.say(room, texts[last]);
  }

  /** Sends without waiting for anything. */
  publish(destination, body, headers) {
    this.#client.publish({ destination, body, headers });
  }

  /** The bodies of what comes at a destination; `next()` resolves with the next of them. */
  async subscribe(destination, headers = {}) {
    const [bodies, waiting] = [[], []];
    const receipt = `s${(this.#receipts += 1)}`;
    const subscribed = new Promise((resolve) => this.#client.watchForReceipt(receipt, resolve));
    const came = ({ body }) => (waiting.length > 0 ? waiting.shift()(body) : bodies.push(body));
    this.#client.subscribe(destination, came, { ...headers, receipt });
    await within(OPEN_MS, `to be subscribed to ${destination}`, subscribed);
    const next = () => (bodies.length > 0 ? bodies.shift() : new Promise((resolve) => waiting.push(resolve)));
    return { bodies, next: () => within(OPEN_MS, `a message at ${destination}`, Promise.resolve(next())) };
  }

  stop() {
    return this.#client.deactivate({ force: true });
  }
}
