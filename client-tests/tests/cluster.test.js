// Three nodes over one Redis, behind the nginx of deploy/, which gives each request to the next node: sessions go on
// wherever their requests go, while nodes drain, are killed and stand still.

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { startChromium } from '../harness/chromium-place.js';
import { startCluster } from '../harness/cluster.js';
import { Lifetime } from '../harness/lifetime.js';
import { fetchRaw } from '../harness/raw.js';
import { scenario } from '../harness/scenario.js';
import { startSite } from '../harness/site.js';
import { calm, drains, kills, stops } from '../reliability/events.js';
import { inChromium, inNode, nodeTransports, pageTransports } from '../reliability/places.js';
import { tryEvent } from '../reliability/trial.js';

const NODE_CLIENTS = 6;
const PAGE_CLIENTS = 1;
const EVENT_MS = 150_000;

const life = new Lifetime();
const cluster = life.add(await startCluster());
const site = life.add(await startSite());
const browser = life.add(await startChromium());
const page = inChromium({ browser, site });

describe('cluster', () => {
  after(() => life.end());

  scenario('nginx gives each request to the next node, whichever session it is for', life, async () => {
    const session = `${cluster.url}/echo/000/hops`;
    const nodes = [];
    const note = ({ headers, ...answer }) => {
      nodes.push(headers['x-sockhop-node']);
      return answer;
    };
    assert.deepEqual(note(await fetchRaw('POST', `${session}/xhr`)), { status: 200, body: 'o\n' });
    for (let number = 1; number <= 6; number += 1) {
      const body = JSON.stringify([`${number}`]);
      assert.equal(note(await fetchRaw('POST', `${session}/xhr_send`, { body })).status, 204);
      assert.deepEqual(note(await fetchRaw('POST', `${session}/xhr`)), { status: 200, body: `a${body}\n` });
    }
    const repeated = nodes.filter((node, index) => index > 0 && node === nodes[index - 1]);
    assert.deepEqual([new Set(nodes).size, repeated], [3, []]);
  });

  scenario('a send for a known session is 404 on no node, for an unknown one on every node', life, async () => {
    await fetchRaw('POST', `${cluster.url}/echo/000/known/xhr`);
    for (const { url } of cluster.nodes) {
      for (const endpoint of ['xhr_send', 'jsonp_send']) {
        const send = (id) => fetchRaw('POST', `${url}/echo/000/${id}/${endpoint}`, { body: '["x"]' });
        assert.equal((await send('unknown')).status, 404, `${endpoint} on ${url}`);
        assert.ok((await send('known')).status < 300, `${endpoint} on ${url}`);
      }
    }
  });

  keepsItsPromises('all goes well', calm, 3);
  keepsItsPromises('each node in turn drains and comes back', drains, 10);
  keepsItsPromises('each node in turn is killed and comes back', kills, 12);
  keepsItsPromises('each node in turn stands still for longer than its lease', stops, 12);
});

function keepsItsPromises(when, event, seconds) {
  const clients = [
    ...nodeTransports.map((transport) => ({ place: inNode, transport, count: NODE_CLIENTS })),
    ...pageTransports.map((transport) => ({ place: page, transport, count: PAGE_CLIENTS })),
  ];
  const run = async () => {
    const setting = { cluster, clients, sendMs: 1_000, publishMs: 500 };
    const { rows, breaches } = await tryEvent(setting, event, seconds);
    const accounts = rows.map(({ place, transport, account }) => `${place} ${transport} ${JSON.stringify(account)}`);
    assert.deepEqual(breaches, [], accounts.join('\n'));
    for (const { transport, account } of rows) assert.ok(account.delivered > 0, `${transport} got nothing`);
  };
  scenario(`clients get what is promised when ${when}`, life, run, EVENT_MS);
}
