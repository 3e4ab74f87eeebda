// One STOMP client that always wants to be subscribed: it connects again when its connection has ended.

import { Client } from '@stomp/stompjs';
import { sockjs } from '../harness/stomp-clients.js';

const COME_BACK_MS = 200;

/**
 * @param {object} seat
 * @param {string} seat.url of the service
 * @param {string} seat.transport
 * @param {number} seat.beatMs silence after which each side sends a heart-beat
 * @param {string} seat.destination what it subscribes to
 * @param {boolean} [seat.after] whether it goes on behind the last message that it has seen
 * @param {object} [seat.credentials] headers of CONNECT
 * @param {object} [seat.headers] further headers of SUBSCRIBE
 * @param {(message: object, life: object, client: Client) => void} [seat.handle] what it does with a message
 */
export function takeStompSeat(seat) {
  const { url, transport, beatMs, destination, after = false, credentials = {}, headers: own = {}, handle } = seat;
  const lives = [];
  const errors = [];
  let last;
  let subscription;
  let here = true;
  const client = new Client({
    webSocketFactory: () => sockjs(url, transport),
    connectHeaders: credentials,
    reconnectDelay: COME_BACK_MS,
    heartbeatIncoming: beatMs,
    heartbeatOutgoing: beatMs,
  });
  client.onConnect = () => {
    const life = { closed: null, subscribed: false, got: new Map(), bodies: [] };
    lives.push(life);
    client.watchForReceipt('subscribed', () => (life.subscribed = true));
    const receive = (message) => {
      const { headers, body } = message;
      last = headers['message-id'];
      life.bodies.push(body);
      const ids = life.got.get(headers.destination);
      if (ids) ids.push(last);
      else life.got.set(headers.destination, [last]);
      handle?.(message, life, client);
    };
    const behind = after && last ? { after: last } : {};
    subscription = client.subscribe(destination, receive, { receipt: 'subscribed', ...own, ...behind });
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
    /** Resolves once the server has ended its subscription. */
    unsubscribe: () =>
      new Promise((resolve) => {
        client.watchForReceipt('unsubscribed', resolve);
        subscription.unsubscribe({ receipt: 'unsubscribed' });
      }),
    leave: () => {
      here = false;
      return client.deactivate({ force: true });
    },
  };
}
