// SIGTERM: on a single node every client is told that the server goes away, then the process ends well.

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { ChromiumPlace, pageTransports, sameOrigin, startChromium } from '../harness/chromium-place.js';
import { current } from '../harness/clients.js';
import { Lifetime } from '../harness/lifetime.js';
import { NodePlace, nodeTransports } from '../harness/node-place.js';
import { fetchRaw } from '../harness/raw.js';
import { startRelay } from '../harness/relay.js';
import { startSite } from '../harness/site.js';
import { startSockhop } from '../harness/sockhop.js';
import { waitingReceiver } from '../scenarios/endpoints.js';
import { scenario } from '../harness/scenario.js';

const DRAIN = { ms: 5_000, args: ['--drain-timeout', '5s'] };
const GOING_AWAY = { code: 4505, reason: 'Server is going away', wasClean: true };

const life = new Lifetime();
const site = life.add(await startSite());
const browser = life.add(await startChromium());
const page = new ChromiumPlace({ browser, site, client: current, page: sameOrigin, name: 'same origin' });

describe('drain', () => {
  after(() => life.end());
  drains(new NodePlace(current), nodeTransports);
  drains(page, pageTransports);
});

function drains(place, transports) {
  scenario(`SIGTERM closes every transport cleanly and the server exits with 0 (${place.name})`, life, async (test) => {
    const server = test.add(await startSockhop({ args: DRAIN.args }));
    const connections = await Promise.all(transports.map((transport) => waiting(test, place, transport, server)));
    // All receivers were sent before this request; its answer shows that the server has got that far.
    await fetchRaw('GET', `${server.url}/echo/info`);

    const exit = server.drain(DRAIN.ms + 3_000);
    const closes = await Promise.all(connections.map((connection) => connection.closed()));
    assert.deepEqual(
      Object.fromEntries(transports.map((transport, index) => [transport, closes[index]])),
      Object.fromEntries(transports.map((transport) => [transport, GOING_AWAY])),
    );
    assert.deepEqual(await exit, { code: 0, signal: null });
  });
}

/** Connects and resolves once the session's receiver waits at the server. */
async function waiting(test, place, transport, server) {
  const relay = test.add(await startRelay(server.url));
  const connection = test.add(await place.connect(`${relay.url}/echo`, { transports: [transport] }));
  await connection.opened();
  await waitingReceiver(relay, transport);
  return connection;
}
