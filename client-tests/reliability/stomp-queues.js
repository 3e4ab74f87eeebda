// Work queues under the same events: consumers that take their time, and acknowledge each message when it is done.

import { within } from '../harness/deadline.js';
import { stompjs7Plain } from '../harness/stomp-clients.js';
import { queueAccountOf, queueBreaches } from './stomp-queue-account.js';
import { takeStompSeat } from './stomp-seat.js';

// Long enough that every event finds messages that are not acknowledged.
const WORK_MS = 1_000;
const ANSWER_MS = 30_000;
const END = 'end';
const HEADERS = { ack: 'client-individual', 'prefetch-count': '10' };

/**
 * One queue with its consumers.
 *
 * @param {object} queue
 * @param {string} queue.url of the service
 * @param {string[]} queue.transports of its consumers, in turn
 * @param {number} queue.consumers how many
 * @param {number} queue.beatMs
 */
export function openQueue({ url, transports, consumers, beatMs }) {
  const name = transports.length > 1 ? 'all three' : transports[0];
  const destination = `/queue/${transports.join('.')}`;
  const log = [];
  const seats = Array.from({ length: consumers }, (_, number) =>
    takeStompSeat({
      url,
      transport: transports[number % transports.length],
      beatMs,
      destination,
      headers: HEADERS,
      handle: (message, life, client) => consume(log, message, life, client),
    }),
  );
  const acceptedOf = (publishers) =>
    publishers
      .flatMap((publisher) => publisher.accepted)
      .filter((message) => message.destination === destination)
      .map(({ text }) => text);
  return {
    name,
    transports,
    destination,
    seats,
    /** Whether all that was accepted is acknowledged. */
    isDone: (publishers) => account(publishers).lost === 0,
    sweep: (at) => sweep({ at, destination, log, seats }),
    account,
    /** How the account, and what consumers were told, break what is promised. */
    breaches: (publishers, codes) => [
      ...queueBreaches(account(publishers), codes),
      ...new Set(seats.flatMap((seat) => seat.errors).map((error) => `told ${error}`)),
    ],
  };

  function account(publishers) {
    const clients = seats.map(({ lives }) => lives);
    return queueAccountOf(clients, { accepted: acceptedOf(publishers), log });
  }
}

function consume(log, message, life, client) {
  const text = message.body;
  log.push({ what: 'came', text, redelivered: message.headers.redelivered === 'true' });
  setTimeout(() => {
    // What a connection that has ended was given, is given to others.
    if (life.closed !== null || !client.connected) return;
    const receipt = `acknowledged ${message.headers['message-id']}`;
    client.watchForReceipt(receipt, () => log.push({ what: 'confirmed', text }));
    message.ack({ receipt });
    log.push({ what: 'acked', text });
  }, WORK_MS);
}

/** Takes the consumers away, and notes what comes to another one before a message that is sent then. */
async function sweep({ at, destination, log, seats }) {
  const gone = Promise.all(seats.map((seat) => seat.unsubscribe()));
  await within(ANSWER_MS, `the receipts of UNSUBSCRIBE from ${destination}`, gone);
  const sweeper = stompjs7Plain.open(at);
  try {
    await sweeper.connect({});
    const inbox = await sweeper.subscribe(destination);
    sweeper.send(destination, END);
    let bodies = [];
    while (bodies.at(-1) !== END) bodies = await inbox.bodies(bodies.length + 1);
    for (const text of bodies.slice(0, -1)) log.push({ what: 'left', text });
  } finally {
    await sweeper.stop();
  }
}
