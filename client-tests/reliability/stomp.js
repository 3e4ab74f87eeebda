// STOMP under the same events: topics, wildcards, destinations of users, `after`, and work queues, for stock @stomp/stompjs
// over sockjs-client.

import { setTimeout as pause } from 'node:timers/promises';
import { startCluster } from '../harness/cluster.js';
import { TRANSPORTS } from '../harness/stomp-clients.js';
import { Secret } from '../harness/stomp-places.js';
import { accountOf, numberOf } from './stomp-account.js';
import { calm, drains, kills } from './events.js';
import { startStompPublisher } from './stomp-publisher.js';
import { openQueue } from './stomp-queues.js';
import { takeStompSeat } from './stomp-seat.js';

const TOPIC = '/topic/reliability';
const WILD = ['/topic/wild.1', '/topic/wild.2', '/topic/wild.3'];
// A queue for each of them, and one that all share.
const QUEUES = [...TRANSPORTS.map((transport) => [transport]), TRANSPORTS];
const EVENTS = [calm, drains, kills];
const READY_MS = 60_000;
// A client that does not see that its stream was cut misses two of these.
const BEAT_MS = 3_000;
const ARRIVED_MS = 60_000;
const LOOK_MS = 200;
// Longer than any trial.
const TOKEN_S = 36_000;

/** What clients subscribe to, and what is promised of it beside that nothing is lost while a connection lives. */
export const kinds = [
  { name: 'topic', seat: () => ({ destination: TOPIC }) },
  { name: 'topic, `after`', goesOn: true, seat: () => ({ destination: TOPIC, after: true }) },
  { name: 'wildcard', seat: () => ({ destination: '/topic/wild.*' }) },
  {
    name: 'user’s queue',
    seat: (user, credentials) => ({ destination: '/user/queue/own', credentials: credentials(user) }),
    user: true,
  },
];

/** The codes with which connections may end, and how documents say it. */
const ends = {
  calm: () => ({ text: 'nothing ends', codes: [] }),
  drains: (transport) =>
    transport === 'websocket'
      ? { text: 'told to reconnect: 4505', codes: [4505] }
      : { text: 'nothing ends', codes: [] },
  kills: (transport) =>
    transport === 'xhr-polling'
      ? { text: 'killed in the middle of a body: 1006', codes: [1006] }
      : { text: 'cut: 1006, or 1000 where the client misses heart-beats', codes: [1000, 1006] },
};

/**
 * Runs all trials of STOMP.
 *
 * @param {{seconds: number, lease: number, stompClients: number, stompMs: number}} setting
 * @param {(event: object) => boolean} isWanted
 */
export async function tryStomp(setting, isWanted) {
  const trials = [];
  for (const event of EVENTS.filter(isWanted)) {
    console.error(`STOMP, ${event.name}: ${event.text}, ${setting.seconds} s`);
    const secret = await Secret.make();
    const args = [...secret.args, '--stomp-heart-beat', `${BEAT_MS}ms`];
    const cluster = await startCluster({ lease: setting.lease, args });
    try {
      const found = await tryEvent(cluster, event, setting, secret);
      for (const row of found.rows) console.error(`  ${row.kind}, ${row.transport} ${JSON.stringify(row.account)}`);
      for (const queue of found.queues) console.error(`  queue, ${queue.name} ${JSON.stringify(queue.account)}`);
      trials.push({ event, ...found, output: found.breaches.length > 0 ? cluster.output : '' });
    } finally {
      await cluster.stop();
      await secret.stop();
    }
  }
  return trials;
}

async function tryEvent(cluster, event, { seconds, stompClients, stompMs }, secret) {
  const url = `${cluster.url}/ws`;
  const credentials = (user) => ({
    passcode: secret.token({ sub: user, exp: Math.floor(Date.now() / 1000) + TOKEN_S }),
  });
  const groups = kinds.flatMap((kind) => TRANSPORTS.map((transport) => ({ kind, transport, seats: [], users: [] })));
  for (const { kind, transport, seats, users } of groups) {
    for (let number = 0; number < stompClients; number += 1) {
      const user = `${kind.name.replace(/\W/g, '')}-${transport}-${number}`;
      users.push(user);
      seats.push(takeStompSeat({ url, transport, beatMs: BEAT_MS, ...kind.seat(user, credentials) }));
    }
  }
  const seats = groups.flatMap((group) => group.seats);
  const queues = QUEUES.map((transports) => openQueue({ url, transports, consumers: stompClients, beatMs: BEAT_MS }));
  const everybody = [...seats, ...queues.flatMap((queue) => queue.seats)];
  const ready = () => everybody.every((seat) => seat.isReady());
  await until('all to be subscribed', READY_MS, ready);
  const users = groups.flatMap(({ kind, users }) => (kind.user ? users : []));
  const destinations = [TOPIC, ...WILD, ...users.map((user) => `/user/${user}/queue/own`)];
  destinations.push(...queues.map(({ destination }) => destination));
  const publishers = cluster.nodes.map((node) =>
    startStompPublisher({ url: `${node.url}/ws`, name: node.name, destinations, ms: stompMs }),
  );
  try {
    // Who has seen nothing has nothing to go on behind.
    await until('the first messages', ARRIVED_MS, () => seats.every(({ lives }) => lives.at(-1).bodies.length > 0));
    await event.happen(cluster, seconds);
    publishers.forEach((publisher) => publisher.hush());
    await pause(3 * BEAT_MS);
    await until('all to be subscribed again', READY_MS, ready);
    const heads = () => headsOf(groups);
    await settled(everybody);
    await emptied(cluster, queues, publishers, ready);
    const rows = groups.map(({ kind, transport, seats, users }) => ({
      kind: kind.name,
      transport,
      promised: ends[event.name](transport).text,
      account: accountOf(
        seats.map(({ lives }) => lives),
        { goesOn: kind.goesOn, heads: (client) => heads().get(kind.user ? users[client] : kind.name) },
      ),
    }));
    const promisedOf = ({ transports }) => transports.map((transport) => ends[event.name](transport));
    const queueBreaches = queues.flatMap((queue) => {
      const codes = promisedOf(queue).flatMap(({ codes }) => codes);
      return queue.breaches(publishers, codes).map((breach) => `queue, ${queue.name}: ${breach}`);
    });
    return {
      rows,
      queues: queues.map((queue) => ({ name: queue.name, account: queue.account(publishers) })),
      accepted: sum(publishers, ({ accepted }) => accepted.length),
      breaches: [...breachesOf(rows, groups, publishers, event), ...queueBreaches],
    };
  } finally {
    await Promise.all([...everybody, ...publishers].map((each) => each.leave()));
  }
}

/** The newest message of each destination that anybody has, for each kind, and for each user. */
function headsOf(groups) {
  const heads = new Map();
  const note = (key, seat) => {
    if (!heads.has(key)) heads.set(key, new Map());
    for (const { got } of seat.lives) {
      for (const [destination, ids] of got) {
        const newest = Math.max(heads.get(key).get(destination) ?? 0, ...ids.map(numberOf));
        heads.get(key).set(destination, newest);
      }
    }
  };
  for (const { kind, seats, users } of groups) {
    seats.forEach((seat, client) => {
      note(kind.user ? users[client] : kind.name, seat);
      // Whoever follows the same topic in another way knows its newest as well.
      if (kind.name.startsWith('topic')) for (const other of ['topic', 'topic, `after`']) note(other, seat);
    });
  }
  return heads;
}

function breachesOf(rows, groups, publishers, event) {
  const breaches = [];
  for (const { kind, transport, account } of rows) {
    for (const name of ['lost', 'repeated', 'reordered']) {
      if (account[name] > 0) breaches.push(`${kind}, ${transport}: ${account[name]} messages ${name}`);
    }
    for (const [code, count] of Object.entries(account.ends)) {
      const { codes } = ends[event.name](transport);
      if (!codes.includes(Number(code)))
        breaches.push(`${kind}, ${transport}: ${count} connections ended with ${code}`);
    }
  }
  for (const { kind, transport, seats } of groups) {
    const errors = seats.flatMap((seat) => seat.errors);
    if (errors.length > 0) breaches.push(`${kind.name}, ${transport}: told ${[...new Set(errors)].join(', ')}`);
    if (!kind.goesOn) continue;
    const accepted = publishers.flatMap((publisher) => publisher.accepted);
    const wanted = accepted.filter(({ destination }) => destination === TOPIC);
    for (const { lives } of seats) {
      const got = new Set(lives.flatMap(({ bodies }) => bodies));
      const missing = wanted.filter(({ text }) => !got.has(text)).length;
      if (missing > 0) breaches.push(`${kind.name}, ${transport}: ${missing} messages were accepted and did not come`);
    }
  }
  return breaches;
}

/** Waits for consumers to handle all there is, as long as that may take, and looks for what they have left. */
async function emptied(cluster, queues, publishers, ready) {
  const end = Date.now() + ARRIVED_MS;
  while (!queues.every((queue) => queue.isDone(publishers)) && Date.now() < end) await pause(LOOK_MS);
  await until('all consumers to be there', READY_MS, ready);
  await Promise.all(queues.map((queue) => queue.sweep(`${cluster.nodes[0].url}/ws`)));
}

/** Resolves once nothing more comes. */
async function settled(seats) {
  const count = () => sum(seats, ({ lives }) => sum(lives, ({ bodies }) => bodies.length));
  let before = -1;
  const end = Date.now() + ARRIVED_MS;
  while (count() !== before && Date.now() < end) {
    before = count();
    await pause(10 * LOOK_MS);
  }
}

async function until(what, ms, is) {
  const end = Date.now() + ms;
  while (!is()) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await pause(LOOK_MS);
  }
}

const sum = (list, of) => list.reduce((total, item) => total + of(item), 0);
