// One STOMP client that always wants to be subscribed: it connects again when its connection has ended.

import { createRequire } from 'node:module';
import { Client } from '@stomp/stompjs';

const SockJS = createRequire(import.meta.url)('sockjs-client');
const COME_BACK_MS = 200;
const PATIENCE_MS = 12_000;

/**
 * @param {object} seat
 * @param {string} seat.url of the service
 * @param {string} seat.transport
 * @param {number} seat.beatMs silence after which each side sends a heart-beat
 * @param {string} seat.destination what it subscribes to
 * @param {boolean} [seat.after] whether it goes on behind the last message that it has seen
 * @param {object} [seat.credentials] headers of CONNECT
 */
export function takeStompSeat({ url, transport, beatMs, destination, after = false, credentials = {} }) {
  const lives = [];
  const errors = [];
  let last;
  let here = true;
  const client = new Client({
    webSocketFactory: () => new SockJS(url, null, { transports: [transport], timeout: PATIENCE_MS }),
    connectHeaders: credentials,
    reconnectDelay: COME_BACK_MS,
    heartbeatIncoming: beatMs,
    heartbeatOutgoing: beatMs,
  });
  client.onConnect = () => {
    const life = { closed: null, subscribed: false, got: new Map(), bodies: [] };
    lives.push(life);
    client.watchForReceipt('subscribed', () => (life.subscribed = true));
    const receive = ({ headers, body }) => {
      last = headers['message-id'];
      life.bodies.push(body);
      const ids = life.got.get(headers.destination);
      if (ids) ids.push(last);
      else life.got.set(headers.destination, [last]);
    };
    client.subscribe(destination, receive, { receipt: 'subscribed', ...(after && last ? { after: last } : {}) });
  };
  client.onStompError = ({ headers }) => errors.push(headers.message);
  client.onWebSocketClose = ({ code }) => {
    const life = lives.at(-1);
    if (here && life && life.closed === null) life.closed = code;
  };
  client.activate();
  return {
    /** Whether it is subscribed now. */
    isReady: () => lives.length > 0 && lives.at(-1).closed === null && lives.at(-1).subscribed,
    lives,
    errors,
    leave: () => {
      here = false;
      return client.deactivate({ force: true });
    },
  };
}
