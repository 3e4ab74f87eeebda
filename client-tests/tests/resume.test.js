// www/resume.js, stock clients and --resume together: a network that goes down again and again loses nothing.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, describe } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startChromium } from '../harness/chromium-place.js';
import { current } from '../harness/clients.js';
import { nodeCounted, pageCounted } from '../harness/counted-place.js';
import { within } from '../harness/deadline.js';
import { Lifetime } from '../harness/lifetime.js';
import { NodePlace } from '../harness/node-place.js';
import { OPEN_MS } from '../harness/patience.js';
import { startRedis } from '../harness/redis.js';
import { startRelay } from '../harness/relay.js';
import { scenario } from '../harness/scenario.js';
import { startSite } from '../harness/site.js';
import { startSockhop } from '../harness/sockhop.js';

const FLAGS = ['--resume', '60s', '--heartbeat', '500ms'];
const DOWN_MS = 2_000;
const UP_MS = 2_000;
const CUTS = 4;
const EVERY_MS = 20;
const CATCH_UP_MS = 20_000;

const NODE = [['websocket'], ['xhr-streaming'], ['xhr-polling']];
// An eventsource cannot resume, and is refused: the client goes on to the next.
const PAGE = [...NODE, ['htmlfile'], ['jsonp-polling'], ['eventsource', 'xhr-polling']];

/** Entries that a node keeps at hand, whatever the retention. */
const RING = 1024;

const life = new Lifetime();
const site = life.add(await startSite());
const browser = life.add(await startChromium());
const nodePlace = nodeCounted(current);
const page = pageCounted({ browser, site, client: current });

describe('resume', () => {
  after(() => life.end());
  for (const [place, transports] of [
    [nodePlace, NODE],
    [page, PAGE],
  ]) {
    survives(place, transports, 'a network that goes down for 2 s', oneNode, goesDown);
    survives(place, transports, 'a network that goes down for 2 s, between two nodes,', twoNodes, goesDown);
  }
  survives(nodePlace, NODE, 'a node that drains', twoNodes, (relay, [node]) => node.drain(20_000));
  survives(nodePlace, NODE, 'a node that is killed', twoNodes, (relay, [node]) => node.signal('SIGKILL'));
  gaps(nodePlace, NODE);
  gaps(page, PAGE);
  readmeExample();
});

/**
 * Each transport alone, and all of them in turn.
 *
 * @param {(relay: object, servers: object[]) => Promise<void>} disturb the last server has to live on
 */
function survives(place, transports, what, start, disturb) {
  scenario(`${what} loses nothing and tells no gap (${place.name})`, life, async (test) => {
    const servers = await start(test);
    const relay = test.add(await startRelay(...servers.map(({ url }) => url)));
    const ways = { ...Object.fromEntries(transports.map((way) => [way.join(' or '), [way]])) };
    ways['all in turn'] = transports;
    const clients = await Promise.all(
      Object.entries(ways).map(async ([way, transports]) => {
        const client = test.add(await place.connect(`${relay.url}/broadcast`, transports));
        await client.ready(CATCH_UP_MS);
        return [way, client];
      }),
    );
    const publisher = await startPublisher(test, servers.at(-1));
    await pause(UP_MS);
    await disturb(relay, servers);
    await pause(UP_MS);
    const count = await publisher.end();
    await Promise.all(clients.map(([, client]) => client.received(count, CATCH_UP_MS)));

    for (const [way, client] of clients) {
      const account = await client.account();
      const told = `${way}: ${count} published, ${account.repeated} came again, ${account.resumes} times resumed`;
      console.log(told);
      assert.deepEqual([account.newest, account.wrong, account.gaps], [count, [], []], told);
      assert.equal(account.repeatedUntold, 0, told);
      assert.ok(!account.used.includes('eventsource'), told);
      if (disturb !== goesDown) continue;
      // On a busy machine one attempt may last over two cuts.
      assert.ok(account.resumes > 0, told);
      if (way === 'all in turn') assert.ok(new Set(account.used).size > 1, told);
    }
  });
}

async function goesDown(relay) {
  for (let cut = 0; cut < CUTS; cut += 1) {
    if (cut > 0) await pause(UP_MS);
    relay.goDown();
    await pause(DOWN_MS);
    relay.goUp();
  }
}

async function oneNode(test) {
  return [test.add(await startSockhop({ args: FLAGS }))];
}

async function twoNodes(test) {
  const redis = test.add(await startRedis());
  const node = () => startSockhop({ args: [...FLAGS, '--store', redis.url] });
  return [ended(test, await node()), test.add(await node())];
}

/** A server that the test itself may end. */
function ended(test, server) {
  test.add({ stop: () => server.stop().catch(() => {}) });
  return server;
}

/** What was missed is told only when the channel no longer keeps it. */
function gaps(place, transports) {
  scenario(`a gap is told when the channel no longer keeps what was missed (${place.name})`, life, async (test) => {
    const kept = 40;
    const flags = [...FLAGS, '--retention-messages', String(kept)];
    const server = test.add(await startSockhop({ args: flags }));
    const relay = test.add(await startRelay(server.url));
    const clients = await Promise.all(
      transports.map(async (transport) => {
        const client = test.add(await place.connect(`${relay.url}/broadcast`, [transport]));
        await client.ready(CATCH_UP_MS);
        return [transport, client];
      }),
    );
    const other = test.add(
      await new NodePlace(current).connect(`${server.url}/broadcast`, { transports: ['websocket'] }),
    );
    await other.opened();
    let published = 0;
    const publish = async (count) => {
      const numbers = Array.from({ length: count }, (_, index) => String(published + index + 1));
      published += count;
      await other.send(numbers);
      await other.messages(published);
    };
    const whileDown = async (count) => {
      relay.goDown();
      await publish(count);
      relay.goUp();
    };

    await publish(1);
    await Promise.all(clients.map(([, client]) => client.received(published, CATCH_UP_MS)));
    // The clients may have confirmed nothing yet: with what they have, it is no more than is kept.
    await whileDown(kept - 10);
    await Promise.all(clients.map(([, client]) => client.received(published, CATCH_UP_MS)));
    for (const [transport, client] of clients) {
      const account = await client.account();
      assert.deepEqual([account.gaps, account.wrong], [[], []], `${transport}: ${JSON.stringify(account)}`);
    }
    const before = published;
    await whileDown(RING + 1);
    await Promise.all(clients.map(([, client]) => client.gap(CATCH_UP_MS)));
    for (const [transport, client] of clients) {
      const { gaps } = await client.account();
      const expected = [{ code: 4504, reason: 'Messages were missed', after: before }];
      assert.deepEqual(gaps, expected, transport);
    }
  });
}

/** The README's own lines, run as they stand. */
function readmeExample() {
  scenario("the README's lines resume a session", life, async (test) => {
    const [server] = await oneNode(test);
    const relay = test.add(await startRelay(server.url));
    const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
    const [, code] = /## Resuming sessions[^]*?```js\n([^]*?)```/.exec(readme);
    const SockJS = current.load();
    const connect = new Function('SockJS', `${code.replace('/chat', `${relay.url}/broadcast`)}; return connect;`)(
      SockJS,
    );
    const messages = [];
    const open = async () => {
      const socket = connect();
      const closed = new Promise((resolve) => (socket.onclose = resolve));
      socket.onmessage = ({ data }) => messages.push(data);
      await within(OPEN_MS, 'the session to open', new Promise((resolve) => (socket.onopen = resolve)));
      return { socket, closed };
    };
    const first = await open();
    const replied = new Promise((resolve) => (first.socket.onmessage = resolve));
    first.socket.send('subscribed');
    await within(OPEN_MS, 'the message to come back', replied);
    relay.cut();
    await within(OPEN_MS, 'the client to notice', first.closed);
    const other = test.add(
      await new NodePlace(current).connect(`${server.url}/broadcast`, { transports: ['websocket'] }),
    );
    await other.opened();
    await other.send(['missed']);
    await other.messages(1);
    const second = await open();
    const replay = new Promise((resolve) => (second.socket.onheartbeat = resolve));
    await within(OPEN_MS, 'the end of the replay', replay);
    assert.equal(messages.at(-1), 'missed');
    second.socket.close();
  });
}

/** Publishes 1, 2, 3 and so on, over a connection of its own that nothing disturbs. */
async function startPublisher(test, server) {
  const connection = test.add(
    await new NodePlace(current).connect(`${server.url}/broadcast`, { transports: ['websocket'] }),
  );
  await connection.opened();
  let number = 0;
  let running = true;
  const run = (async () => {
    while (running) {
      number += 1;
      await connection.send([String(number)]);
      await pause(EVERY_MS);
    }
  })();
  return {
    /** Stops; resolves with the last number. */
    end: async () => {
      running = false;
      await run;
      return number;
    },
  };
}
