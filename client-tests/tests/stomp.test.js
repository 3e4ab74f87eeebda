// The STOMP clients that pages have, against one node and against three.

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { Lifetime } from '../harness/lifetime.js';
import { scenario } from '../harness/scenario.js';
import { TRANSPORTS, stompjs2, stompjs7, stompjs7Plain, webstomp } from '../harness/stomp-clients.js';
import { startOneNode, startThreeNodes } from '../harness/stomp-places.js';

const life = new Lifetime();
const places = [await startOneNode(life), await startThreeNodes(life)];

after(() => life.end());

/** Tests of one client over one transport at one place. */
function claims(place, { open }, transport) {
  const client = (own) => own.add(open(place.url, transport));

  scenario('a topic reaches everybody in order, whole and unchanged', life, async (own) => {
    const [one, two] = [client(own), client(own)];
    await Promise.all([one.connect({}), two.connect({})]);
    const topic = `/topic/${crypto.randomUUID()}`;
    const inboxes = await Promise.all([one.subscribe(topic), two.subscribe(topic)]);
    const texts = ['{"a":"b"}', 'two\nlines', 'ü 😀 \u2028', 'x'.repeat(40_000)];
    const bodies = Array.from({ length: 100 }, (_, number) => `${number} ${texts[number % texts.length]}`);
    for (const body of bodies) one.send(topic, body, { 'content-type': 'text/plain' });
    for (const inbox of inboxes) assert.deepEqual(await inbox.bodies(bodies.length), bodies);
    const [{ headers }] = inboxes[1].frames;
    assert.equal(headers.destination, topic);
    assert.equal(headers['content-type'], 'text/plain');
  });

  scenario('users talk to each other, and reach all sessions of one another', life, async (own) => {
    const [ann, annToo, bob] = [client(own), client(own), client(own)];
    const [annName, bobName] = ['ann', 'bob'].map((name) => `${name}-${crypto.randomUUID()}`);
    const connected = await ann.connect(place.credentials(annName));
    assert.equal(connected['user-name'], annName);
    await Promise.all([annToo.connect(place.credentials(annName)), bob.connect(place.credentials(bobName))]);
    const [atAnn, atAnnToo, atBob] = await Promise.all(
      [ann, annToo, bob].map((each) => each.subscribe('/user/queue/private')),
    );
    bob.send(`/user/${annName}/queue/private`, 'to ann');
    assert.deepEqual(await atAnn.bodies(1), ['to ann']);
    assert.deepEqual(await atAnnToo.bodies(1), ['to ann']);
    ann.send(`/user/${bobName}/queue/private`, 'to bob');
    assert.deepEqual(await atBob.bodies(1), ['to bob'], 'and nothing before');
    assert.equal(atBob.frames[0].headers.destination, '/user/queue/private');
  });

  scenario('who comes back with the last message-id gets what came since, once', life, async (own) => {
    const topic = `/topic/${crypto.randomUUID()}`;
    const [sender, first] = [client(own), client(own)];
    await Promise.all([sender.connect({}), first.connect({})]);
    const seen = await first.subscribe(topic);
    for (const body of ['1', '2', '3']) sender.send(topic, body);
    await seen.bodies(3);
    await first.stop();
    for (const body of ['4', '5']) sender.send(topic, body);
    const second = client(own);
    await second.connect({});
    const after = seen.frames[1].headers['message-id'];
    const inbox = await second.subscribe(topic, { after });
    sender.send(topic, '6');
    assert.deepEqual(await inbox.bodies(4), ['3', '4', '5', '6']);
    const third = client(own);
    await third.connect({});
    assert.deepEqual(await (await third.subscribe(topic, { history: '2' })).bodies(2), ['5', '6']);
  });

  scenario('an error names its reason', life, async (own) => {
    const forged = client(own);
    const credentials = place.credentials('ann', { exp: 1 });
    await assert.rejects(forged.connect(credentials), /authentication failed|closed before/);
    const lost = client(own);
    await lost.connect({});
    const error = lost.error();
    lost.send('/nowhere', 'x');
    assert.equal((await error).message, 'unknown destination');
  });
}

for (const place of places) {
  describe(place.name, { concurrency: 4 }, () => {
    for (const client of [stompjs7, stompjs2, webstomp]) {
      for (const transport of TRANSPORTS) {
        describe(`${client.name}, ${transport}`, { concurrency: 1 }, () => claims(place, client, transport));
      }
    }
    describe(stompjs7Plain.name, { concurrency: 1 }, () => claims(place, stompjs7Plain));
  });
}
