// Subscriptions with wildcards of the stock clients, while topics begin at other nodes, and nodes die.

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { startCluster } from '../harness/cluster.js';
import { Lifetime } from '../harness/lifetime.js';
import { scenario } from '../harness/scenario.js';
import { TRANSPORTS, stompjs2, stompjs7, stompjs7Plain } from '../harness/stomp-clients.js';
import { startOneNode } from '../harness/stomp-places.js';

const ROOMS = 12;

const life = new Lifetime();
const one = await startOneNode(life);
const cluster = life.add(await startCluster({ args: ['--service', '/ws=stomp'] }));
const places = [
  { name: 'one node', url: one.url, publishers: [one.url] },
  {
    name: 'three nodes behind nginx',
    url: `${cluster.url}/ws`,
    publishers: cluster.nodes.map(({ url }) => `${url}/ws`),
  },
];

after(() => life.end());

/** One sender at each node. */
async function senders(own, { publishers }) {
  const clients = publishers.map((url) => own.add(stompjs7Plain.open(url)));
  await Promise.all(clients.map((client) => client.connect({})));
  return clients;
}

/** The bodies of an inbox by their destinations. */
function byTopic({ frames }) {
  const topics = {};
  for (const { headers, body } of frames) (topics[headers.destination] ??= []).push(body);
  return topics;
}

for (const place of places) {
  describe(place.name, { concurrency: 2 }, () => {
    for (const client of [stompjs7, stompjs2]) {
      for (const transport of TRANSPORTS) {
        const with_ = `${client.name}, ${transport}`;

        scenario(`new topics are followed from their first message: ${with_}`, life, async (own) => {
          const at = await senders(own, place);
          const base = `/topic/${crypto.randomUUID()}`;
          const subscriber = own.add(client.open(place.url, transport));
          await subscriber.connect({});
          at[0].send(`${base}.old`, 'before');
          const inbox = await subscriber.subscribe(`${base}.*`);
          const expected = {};
          for (let round = 0; round < 3; round += 1) {
            for (let room = 0; room < ROOMS; room += 1) {
              const topic = `${base}.${room}`;
              // Of one topic always the same sender: between two there is no order.
              at[room % at.length].send(topic, `${round}`);
              (expected[topic] ??= []).push(`${round}`);
            }
          }
          at[0].send(`${base}.a/b`, 'not this');
          await inbox.bodies(3 * ROOMS);
          // What was sent just before may have been accepted just after, and counts.
          if (`${base}.old` in byTopic(inbox)) await inbox.bodies(3 * ROOMS + 1);
          const came = byTopic(inbox);
          delete came[`${base}.old`];
          for (const topic of Object.keys(expected)) assert.deepEqual(came[topic], expected[topic], topic);
        });
      }
    }
  });
}

describe('a node that dies', () => {
  scenario('hides no new topic from those who poll', life, async (own) => {
    const base = `/topic/${crypto.randomUUID()}`;
    const pollers = Array.from({ length: 6 }, () => own.add(stompjs7.open(places[1].url, 'xhr-polling')));
    await Promise.all(pollers.map((poller) => poller.connect({})));
    const inboxes = await Promise.all(pollers.map((poller) => poller.subscribe(`${base}/**`)));
    const [, ...rest] = await senders(own, places[1]);
    const texts = (round) => Array.from({ length: ROOMS }, (_, room) => `${round} ${room}`);
    const send = (round) => {
      for (const text of texts(round))
        rest[Number(text.split(' ')[1]) % 2].send(`${base}/${text.replace(' ', '/')}`, text);
    };
    send(0);
    await cluster.nodes[0].kill();
    send(1);
    await cluster.nodes[0].start();
    send(2);
    const expected = [0, 1, 2].flatMap(texts).sort();
    for (const inbox of inboxes) {
      const came = await inbox.bodies(expected.length);
      assert.deepEqual([...came].sort(), expected, 'each once');
    }
  });
});
