// The chat on three nodes that end under it: people over three transports miss nothing, and are told what happened.
/* global document, window */

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { openChat } from '../harness/chat-page.js';
import { startChromium } from '../harness/chromium-place.js';
import { startCluster } from '../harness/cluster.js';
import { startClusterCommand } from '../harness/cluster-command.js';
import { within } from '../harness/deadline.js';
import { Lifetime } from '../harness/lifetime.js';
import { fetchRaw } from '../harness/raw.js';
import { scenario } from '../harness/scenario.js';

const life = new Lifetime();
const browser = life.add(await startChromium());

const PEOPLE = { Ann: 'websocket', Ben: 'xhr-streaming', Cho: 'xhr-polling' };
const ROUNDS = 30;
const KILL_AT = 8;
const START_AT = 14;
const DRAIN_AT = 18;
const LATE_MS = 60_000;
const ALL_MS = 240_000;

describe('the chat of a cluster', () => {
  after(() => life.end());

  scenario(
    'three people over three transports see each message once, in one order, while a node is killed and another drained',
    life,
    async (test) => {
      const cluster = test.add(await startCluster({ args: ['--demo', '--drain-timeout', '3s'] }));
      const pages = {};
      for (const [name, transport] of Object.entries(PEOPLE)) {
        const page = await openChat(browser, cluster.url, { room: 'three', transport, before: keepBanners });
        pages[name] = test.add(page);
        await page.enter(name);
      }
      const killed = await carrier(cluster, pages.Ann);
      const seen = new Set();
      for (let round = 1; round <= ROUNDS; round += 1) {
        for (const [name, page] of Object.entries(pages)) await page.say(`${name} ${round}`);
        for (const page of Object.values(pages)) seen.add(await nodeOf(page));
        if (round === KILL_AT) await killed.kill();
        if (round === START_AT) await killed.start();
        if (round === DRAIN_AT) {
          await pages.Ann.connected(LATE_MS);
          await (await carrier(cluster, pages.Ann)).drain();
        }
      }
      for (const page of Object.values(pages)) {
        await page.connected(LATE_MS);
        for (const name of Object.keys(pages)) await page.shows(`${name} ${ROUNDS}`, LATE_MS);
      }

      const accounts = await Promise.all(Object.values(pages).map((page) => page.everything()));
      const [{ texts }, ...others] = accounts;
      for (const other of others) assert.deepEqual(other.texts, texts, 'one order for all');
      for (const name of Object.keys(pages)) {
        const own = texts.filter((text) => text.startsWith(name));
        assert.deepEqual(
          own,
          Array.from({ length: ROUNDS }, (_, index) => `${name} ${index + 1}`),
          `all of ${name}'s`,
        );
      }
      assert.ok(seen.size >= 3, `${seen.size} nodes have carried them`);

      const told = await pages.Ann.page.evaluate(() => window.banners);
      assert.match(told[0], /^Connection lost\. Coming back by itself/);
      assert.match(told[1], /^Back after .*none lost\. websocket · node \w+ → websocket · node \w+$/);
      assert.ok(
        told.some((text) => /^The node is shutting down\./.test(text)),
        told.join('\n'),
      );
      for (const page of Object.values(pages)) {
        const all = await page.page.evaluate(() => window.banners.filter((text) => text.startsWith('Back')));
        assert.ok(
          all.every((text) => text.includes('none lost')),
          all.join('\n'),
        );
        await page.showsPeople(Object.keys(PEOPLE), LATE_MS);
        await page.at('state').click();
        await page.reads('gone', /^0$/);
      }
    },
    ALL_MS,
  );

  scenario(
    'nothing is called lost when Redis ends and comes back with its data',
    life,
    async (test) => {
      const cluster = test.add(await startCluster({ durable: true, args: ['--demo'] }));
      const pages = [];
      for (const [name, transport] of Object.entries(PEOPLE)) {
        const page = test.add(await openChat(browser, cluster.url, { room: 'redis', transport }));
        await page.enter(name);
        pages.push(page);
      }
      const [ann, ben] = pages;
      await ann.say('before');
      for (const page of pages) await page.shows('before');
      await cluster.redis.restart();
      await ben.say('after');
      for (const page of pages) {
        await page.shows('after', LATE_MS);
        assert.deepEqual(await page.texts(), ['before', 'after']);
        await page.at('state').click();
        await page.reads('gone', /^0$/);
      }
    },
    ALL_MS,
  );

  scenario(
    'comes with sockhop cluster, and what it shows outlives every node that has served it',
    life,
    async (test) => {
      const cluster = test.add(await startClusterCommand(['--', '--drain-timeout', '3s']));
      const ann = test.add(await openChat(browser, cluster.url, { room: 'kept', transport: 'websocket' }));
      await ann.enter('Ann');
      await ann.reads('state-text', /^websocket · node [123]$/);
      for (let round = 1; round <= 3; round += 1) {
        await ann.say(`before end ${round}`);
        await ann.shows(`before end ${round}`);
        const number = Number(/node (\d)/.exec(await ann.text('state-text'))[1]);
        await order(cluster.url, number, 'kill');
        await ann.reads('state-text', new RegExp(`^websocket · node [^${number}]$`), LATE_MS);
        await ann.reads('banner', new RegExp(`none lost\\. websocket · node ${number} → websocket · node `));
        await order(cluster.url, number, 'start');
      }
      await ann.page.reload();
      await ann.connected(LATE_MS);
      await ann.shows('before end 3');
      assert.deepEqual(await ann.texts(), ['before end 1', 'before end 2', 'before end 3']);
      assert.match(cluster.output, /chat {6}http:\/\/[^/]+\/chat\//);
    },
    ALL_MS,
  );
});

/** The node that a page is told it is on, by its id's beginning. */
async function nodeOf(page) {
  return /node (\w+)/.exec(await page.at('node-now').textContent())?.[1];
}

/** The node of the cluster that carries a page's WebSocket. */
async function carrier({ nodes }, page) {
  const id = await nodeOf(page);
  for (const node of nodes) {
    const answer = await fetchRaw('GET', `${node.url}/readyz`).catch(() => null);
    if (answer?.headers['x-sockhop-node']?.startsWith(id)) return node;
  }
  throw new Error(`no node is ${id}`);
}

/** Keeps everything that the banner says. */
function keepBanners(page) {
  return page.addInitScript(() => {
    window.banners = [];
    const watch = () => {
      const banner = document.querySelector('[data-testid=banner]');
      const keep = () => banner.textContent && window.banners.push(banner.textContent);
      new window.MutationObserver(keep).observe(banner, { childList: true, characterData: true, subtree: true });
    };
    document.addEventListener('DOMContentLoaded', watch);
  });
}

/** Tells a node of the cluster something, and resolves once it is at that. */
async function order(url, number, what) {
  const look = async () => (await fetch(`${url}/cluster/state`)).json();
  const { token } = await look();
  const told = await fetch(`${url}/cluster/nodes/${number}/${what}`, {
    method: 'POST',
    headers: { 'X-Cluster-Token': token },
  });
  assert.ok(told.ok, `node ${number} takes ${what}`);
  const phase = what === 'start' ? 'running' : 'ended';
  const isThere = async () => {
    while ((await look()).nodes.find((node) => node.number === number).phase !== phase);
  };
  await within(LATE_MS, `node ${number} to be ${phase}`, isThere());
}
