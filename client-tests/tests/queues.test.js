// Work queues with the clients that pages have: on one node and on three, over several transports, while consumers refuse
// messages, leave, or die with their node.

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startCluster } from '../harness/cluster.js';
import { Lifetime } from '../harness/lifetime.js';
import { scenario } from '../harness/scenario.js';
import { TRANSPORTS, stompjs2, stompjs7 } from '../harness/stomp-clients.js';
import { Secret, startOneNode } from '../harness/stomp-places.js';

const LEASE_S = 3;
const TEST_MS = 120_000;
const JOBS = 30;
const ACK = { ack: 'client-individual' };

const life = new Lifetime();
const secret = life.add(await Secret.make());
const cluster = life.add(await startCluster({ lease: LEASE_S, args: [...secret.args, '--disconnect-delay', '2s'] }));
const places = [
  { name: 'one node', urls: [(await startOneNode(life)).url] },
  { name: 'three nodes', urls: cluster.nodes.map(({ url }) => `${url}/ws`) },
];

after(() => life.end());

const queueName = () => `/queue/${crypto.randomUUID()}`;

async function connected(client, url, transport, own, headers = {}) {
  const opened = own.add(client.open(url, transport));
  await opened.connect(headers);
  return opened;
}

/** Each place's nodes in turn: publishers and consumers are at different ones. */
function claims({ urls }, client, transport) {
  const at = (number, own) => connected(client, urls[number % urls.length], transport, own);

  scenario('each message goes to one consumer, in order, and is handled once', life, async (own) => {
    const queue = queueName();
    const [sender, first, second] = await Promise.all([at(0, own), at(1, own), at(2, own)]);
    const inboxes = [await first.subscribe(queue, ACK), await second.subscribe(queue)];
    for (let job = 0; job < JOBS; job += 1) sender.send(queue, `${job}`);
    const bodies = await Promise.all(inboxes.map((inbox) => inbox.bodies(JOBS / 2)));
    for (const frame of inboxes[0].frames) frame.ack();
    for (const own of bodies)
      assert.deepEqual(
        own,
        own.toSorted((a, b) => a - b),
      );
    assert.deepEqual(new Set(bodies.flat()), new Set(Array.from({ length: JOBS }, (_, job) => `${job}`)));
  });

  scenario('what is refused, and what a consumer leaves behind, goes to another', life, async (own) => {
    const queue = queueName();
    const [sender, first] = await Promise.all([at(0, own), at(1, own)]);
    const inbox = await first.subscribe(queue, ACK);
    for (const job of ['kept', 'refused', 'left']) sender.send(queue, job);
    await inbox.bodies(3);
    const second = await at(2, own);
    const other = await second.subscribe(queue, ACK);
    inbox.frames[0].ack();
    inbox.frames[1].nack();
    assert.deepEqual(await other.bodies(1), ['refused']);
    await first.stop();
    assert.deepEqual(await other.bodies(2), ['refused', 'left']);
    for (const { headers } of other.frames) {
      assert.equal(headers.redelivered, 'true');
      assert.equal(headers['delivery-count'], '2');
    }
  });
}

for (const place of places) {
  describe(place.name, { concurrency: 2 }, () => {
    for (const client of [stompjs7, stompjs2]) {
      for (const transport of TRANSPORTS) {
        describe(`${client.name}, ${transport}`, { concurrency: 1 }, () => claims(place, client, transport));
      }
    }
  });
}

describe('while a node is killed', { concurrency: 1 }, () => {
  scenario(
    'what its WebSocket consumers had goes to consumers elsewhere',
    life,
    async (own) => {
      const [dying, ...others] = cluster.nodes;
      const queue = queueName();
      const first = await connected(stompjs7, `${dying.url}/ws`, 'websocket', own);
      const inbox = await first.subscribe(queue, { ack: 'client' });
      const sender = await connected(stompjs7, `${others[0].url}/ws`, 'websocket', own);
      for (let job = 0; job < JOBS; job += 1) sender.send(queue, `${job}`);
      await inbox.bodies(JOBS);
      inbox.frames[9].ack();
      const second = await connected(stompjs7, `${others[1].url}/ws`, 'xhr-streaming', own);
      const other = await second.subscribe(queue, ACK);
      // The ACK is handled in order with what comes behind it.
      first.send(queue, 'last');
      await Promise.race([other.bodies(1), inbox.bodies(JOBS + 1)]);
      await dying.kill();
      const expected = Array.from({ length: JOBS - 10 }, (_, job) => `${job + 10}`);
      const all = new Set([...expected, 'last']);
      while (![...all].every((job) => other.frames.some(({ body }) => body === job))) {
        await other.bodies(other.frames.length + 1);
      }
      assert.equal(other.frames.length, all.size, 'each once');
      const again = other.frames.map(({ body }) => body).filter((body) => body !== 'last');
      assert.deepEqual(again, expected, 'in their order');
      await dying.start();
    },
    TEST_MS,
  );

  scenario(
    'two users talk on through topics, queues and their own destinations',
    life,
    async (own) => {
      const [ann, bob] = ['ann', 'bob'].map((name) => `${name}-${crypto.randomUUID()}`);
      const [dying, , last] = cluster.nodes;
      const atAnn = await connected(stompjs7, `${last.url}/ws`, 'websocket', own, secret.credentials(ann));
      const atBob = await connected(stompjs7, `${cluster.url}/ws`, 'xhr-polling', own, secret.credentials(bob));
      const topic = `/topic/${crypto.randomUUID()}`;
      const [toAnn, toBob] = [queueName(), queueName()];
      const inboxes = [];
      for (const [client, queue] of [
        [atAnn, toAnn],
        [atBob, toBob],
      ]) {
        for (const destination of [topic, queue, '/user/queue/private'])
          inboxes.push(await client.subscribe(destination));
      }
      for (let round = 0; round < JOBS; round += 1) {
        if (round === JOBS / 3) await dying.kill();
        atAnn.send(topic, `ann ${round}`);
        atBob.send(topic, `bob ${round}`);
        atAnn.send(toBob, `${round}`);
        atBob.send(toAnn, `${round}`);
        atAnn.send(`/user/${bob}/queue/private`, `${round}`);
        atBob.send(`/user/${ann}/queue/private`, `${round}`);
        await pause(20);
      }
      const rounds = Array.from({ length: JOBS }, (_, round) => `${round}`);
      const [topicAnn, queueAnn, ownAnn, topicBob, queueBob, ownBob] = inboxes;
      for (const inbox of [queueAnn, ownAnn, queueBob, ownBob]) {
        assert.deepEqual(await inbox.bodies(JOBS), rounds);
      }
      for (const inbox of [topicAnn, topicBob]) {
        const bodies = await inbox.bodies(2 * JOBS);
        for (const name of ['ann', 'bob']) {
          const own = bodies.filter((body) => body.startsWith(name));
          assert.deepEqual(
            own,
            rounds.map((round) => `${name} ${round}`),
          );
        }
      }
      await dying.start();
    },
    TEST_MS,
  );
});
