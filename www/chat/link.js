// The connection: stock sockjs-client below stock @stomp/stompjs, which comes back by itself after a loss.
//
// Events: `open` {user}, `lost` {code, reason}, `refused` {message, detail}, `state` {state}. The state is
// `connecting`, `open`, `waiting` (for the next attempt) or `ended`.

import { AUTOMATIC } from '../lab/transports.js';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 8_000;
/** Over polls a heart-beat is a request of its own. */
const HEARTBEAT_MS = 10_000;

class LinkEvent extends Event {
  constructor(type, fields) {
    super(type);
    Object.assign(this, fields);
  }
}

export class Link extends EventTarget {
  #url;
  #SockJS;
  #StompJs;
  #client = null;
  #socket = null;
  #state = 'ended';

  constructor({ url, SockJS, StompJs }) {
    super();
    this.#url = url;
    this.#SockJS = SockJS;
    this.#StompJs = StompJs;
    addEventListener('online', () => this.#hurry());
    addEventListener('pageshow', () => this.#hurry());
  }

  get state() {
    return this.#state;
  }

  get isOpen() {
    return this.#state === 'open';
  }

  /** The transport in use, or null. */
  get transport() {
    return this.isOpen ? this.#socket.transport : null;
  }

  /** Connects, as somebody and over some transport; what was open before is left. */
  start({ login, passcode, transport = AUTOMATIC }) {
    const former = this.#client;
    const options = transport === AUTOMATIC ? {} : { transports: [transport] };
    const client = new this.#StompJs.Client({
      webSocketFactory: () => {
        this.#socket = new this.#SockJS(this.#url, null, options);
        return this.#socket;
      },
      connectHeaders: { login, passcode },
      heartbeatIncoming: HEARTBEAT_MS,
      heartbeatOutgoing: HEARTBEAT_MS,
      reconnectDelay: FIRST_PAUSE_MS,
      maxReconnectDelay: LONGEST_PAUSE_MS,
      reconnectTimeMode: this.#StompJs.ReconnectionTimeMode.EXPONENTIAL,
      beforeConnect: () => this.#aboutToConnect(client),
    });
    const ifInUse = (listener) => (event) => this.#client === client && listener(event);
    client.onConnect = ifInUse(({ headers }) => this.#opened(headers['user-name'] ?? ''));
    client.onStompError = ifInUse((frame) => this.#refused(frame));
    client.onWebSocketClose = ifInUse((event) => this.#closed(event));
    this.#client = client;
    if (former && this.#state === 'open') this.#tell('lost', { code: 1000, reason: '' });
    this.#become('connecting');
    leave(former);
    client.activate();
  }

  stop() {
    const [client, wasOpen] = [this.#client, this.isOpen];
    this.#client = null;
    this.#become('ended');
    if (wasOpen) this.#tell('lost', { code: 1000, reason: '' });
    leave(client);
  }

  /** Subscribes until the connection ends. */
  subscribe(destination, headers, listener) {
    return this.#client.subscribe(destination, listener, headers);
  }

  send(destination, body, headers = {}) {
    this.#client.publish({ destination, body, headers });
  }

  /** What is sent once a pause of random length is over: pages that lost one server must not come back in one moment. */
  #aboutToConnect(client) {
    if (this.#client !== client) return undefined;
    const first = this.#state === 'connecting';
    this.#become('connecting');
    return first ? undefined : new Promise((resolve) => setTimeout(resolve, Math.random() * FIRST_PAUSE_MS));
  }

  #opened(user) {
    this.#state = 'open';
    this.#tell('open', { user });
    this.#tell('state', { state: 'open' });
  }

  #refused({ headers, body }) {
    this.#tell('refused', { message: headers.message ?? '', detail: body ?? '' });
  }

  #closed({ code, reason }) {
    const wasOpen = this.#state === 'open';
    this.#become('waiting');
    if (wasOpen) this.#tell('lost', { code, reason });
  }

  /** An attempt may succeed now. */
  #hurry() {
    if (this.#state !== 'waiting') return;
    const client = this.#client;
    client.deactivate({ force: true }).then(() => this.#client === client && client.activate());
  }

  #become(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.#tell('state', { state });
  }

  #tell(type, fields) {
    this.dispatchEvent(new LinkEvent(type, fields));
  }
}

/** Ends a client's connection, in order where there is one. */
function leave(client) {
  if (client) client.deactivate({ force: !client.connected });
}
