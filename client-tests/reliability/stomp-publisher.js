// Sends numbered messages to destinations in turn, at one node, and knows which of them were accepted.

import { Client } from '@stomp/stompjs';
import WebSocket from 'ws';

const COME_BACK_MS = 200;

/**
 * @param {object} publisher
 * @param {string} publisher.url of the service at its node
 * @param {string} publisher.name
 * @param {string[]} publisher.destinations
 * @param {number} publisher.ms between two rounds of messages
 */
export function startStompPublisher({ url, name, destinations, ms }) {
  const accepted = [];
  let sent = 0;
  let round = 0;
  const client = new Client({
    webSocketFactory: () => new WebSocket(`${url.replace('http', 'ws')}/websocket`, ['v12.stomp']),
    reconnectDelay: COME_BACK_MS,
  });
  client.activate();
  const timer = setInterval(() => {
    if (!client.connected) return;
    round += 1;
    for (const destination of destinations) {
      const text = `${name} ${round} ${destination}`;
      const receipt = `${name} ${(sent += 1)}`;
      client.watchForReceipt(receipt, () => accepted.push({ destination, text }));
      client.publish({ destination, body: text, headers: { receipt } });
    }
  }, ms);
  return {
    /** Messages whose receipt came. */
    accepted,
    get sent() {
      return sent;
    },
    hush: () => clearInterval(timer),
    leave: () => {
      clearInterval(timer);
      return client.deactivate({ force: true });
    },
  };
}
