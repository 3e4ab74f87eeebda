// Who is in a room on three nodes, while nodes are killed and drained: nobody stays who is gone, nobody is missing, and
// each who is told to have come is told to have left before it comes again.

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from '@stomp/stompjs';
import { startCluster } from '../harness/cluster.js';
import { within } from '../harness/deadline.js';
import { Lifetime } from '../harness/lifetime.js';
import { MESSAGES_MS, OPEN_MS } from '../harness/patience.js';
import { scenario } from '../harness/scenario.js';
import { TRANSPORTS, sockjs } from '../harness/stomp-clients.js';
import { Secret } from '../harness/stomp-places.js';

const LEASE_S = 2;
const DISCONNECT_DELAY_S = 3;
// The lease, the delay, and what a loaded machine adds.
const SETTLED_MS = 60_000;
const LOOK_MS = 200;
const TEST_MS = 200_000;
const USERS = 4;

const life = new Lifetime();
const secret = life.add(await Secret.make());
const args = [...secret.args, '--presence', '/topic/rooms/**', '--disconnect-delay', `${DISCONNECT_DELAY_S}s`];
const cluster = life.add(await startCluster({ lease: LEASE_S, args }));

/** One tab: a stock client, in a room from its opening until it is closed or cut. */
class Tab {
  #client;
  isOpen = false;

  constructor(url, transport, user) {
    this.user = user;
    this.#client = new Client({
      webSocketFactory: () => sockjs(`${url}/ws`, transport),
      connectHeaders: user ? secret.credentials(user) : {},
      reconnectDelay: 0,
    });
  }

  async open() {
    const opened = new Promise((resolve, reject) => {
      this.#client.onConnect = resolve;
      this.#client.onWebSocketClose = () => reject(new Error('closed before it was connected'));
    });
    this.#client.activate();
    await within(OPEN_MS, 'CONNECTED', opened);
    this.isOpen = true;
    this.#client.onWebSocketClose = () => {
      this.isOpen = false;
      this.onClose?.();
    };
    return this;
  }

  async subscribe(destination, heard = () => {}, headers = {}) {
    const receipt = crypto.randomUUID();
    const subscribed = new Promise((resolve) => this.#client.watchForReceipt(receipt, resolve));
    this.#client.subscribe(destination, heard, { ...headers, receipt });
    await within(MESSAGES_MS, receipt, subscribed);
  }

  /** Says goodbye. */
  async leave() {
    this.isOpen = false;
    this.onClose = undefined;
    await this.#client.deactivate();
  }

  stop() {
    this.isOpen = false;
    this.onClose = undefined;
    return this.#client.deactivate({ force: true });
  }
}

/** Keeps what is told of a room, over as many connections as it takes. */
class Watcher {
  events = [];
  #room;
  #life;
  #last;

  constructor(room, own) {
    this.#room = room;
    this.#life = own;
  }

  /** Watches at the first node that takes it. */
  async watch() {
    for (let attempt = 0; ; attempt += 1) {
      const { url } = cluster.nodes[attempt % cluster.nodes.length];
      const tab = this.#life.add(new Tab(url, 'websocket'));
      try {
        await tab.open();
        const heard = ({ headers, body }) => {
          this.#last = headers['message-id'];
          this.events.push(JSON.parse(body));
        };
        const after = this.#last ? { after: this.#last } : {};
        tab.onClose = () => this.watch();
        await tab.subscribe(`/presence${this.#room}`, heard, after);
        return;
      } catch (error) {
        tab.onClose = undefined;
        await tab.stop();
        if (attempt > 60) throw error;
        await pause(LOOK_MS);
      }
    }
  }

  /** Who is there by what was told, and that nothing which was told contradicts itself. */
  here() {
    const [first, ...events] = this.events;
    assert.equal(first.type, 'here');
    assert.equal(first.count, 0);
    const present = new Set();
    for (const { type, user, session, count } of events) {
      const who = user ?? session;
      if (type === 'join') assert.ok(!present.has(who), `${who} came twice`);
      else assert.ok(present.has(who), `${who} left without having come`);
      if (type === 'join') present.add(who);
      else present.delete(who);
      assert.equal(count, present.size);
    }
    return present;
  }
}

/** Resolves once the users in a room are these, and one more session has none. */
async function settled(watcher, tabs) {
  const expected = () => [...new Set(tabs.filter(({ isOpen }) => isOpen).map(({ user }) => user))].sort();
  const told = () => [...watcher.here()].sort();
  const until = performance.now() + SETTLED_MS + LOOK_MS;
  const waiting = async () => {
    // Not for ever: whoever waits beside it has given up by then.
    while (JSON.stringify(told()) !== JSON.stringify(expected()) && performance.now() < until) await pause(LOOK_MS);
  };
  await within(SETTLED_MS, () => `${expected()} to be told; it was ${told()}`, waiting());
}

/** Two tabs of each of some users, over each transport, in a room. */
async function crowd(room, name, own) {
  const tabs = [];
  for (const transport of TRANSPORTS) {
    for (let number = 0; number < USERS; number += 1) {
      for (let copy = 0; copy < 2; copy += 1) {
        tabs.push(own.add(new Tab(cluster.url, transport, `${name}-${transport}-${number}`)));
      }
    }
  }
  await Promise.all(tabs.map((tab) => tab.open()));
  await Promise.all(tabs.map((tab) => tab.subscribe(room)));
  return tabs;
}

describe('presence on three nodes', () => {
  after(() => life.end());

  scenario(
    'whoever dies with a node leaves once, and whoever lives on stays',
    life,
    async (own) => {
      const room = `/topic/rooms/${crypto.randomUUID()}`;
      const watcher = new Watcher(room, own);
      await watcher.watch();
      let tabs = await crowd(room, 'first', own);
      await settled(watcher, tabs);
      for (const [number, node] of cluster.nodes.entries()) {
        await node.kill();
        await settled(watcher, tabs);
        await node.start();
        tabs = [...tabs, ...(await crowd(room, `after ${number}`, own))];
        await settled(watcher, tabs);
      }
      assert.ok(
        tabs.some(({ isOpen }) => !isOpen),
        'some were cut',
      );
      // One of two tabs changes nothing, the other one does.
      const [one, two] = tabs.filter(({ isOpen, user }) => isOpen && user.startsWith('after 2')).slice(0, 2);
      assert.equal(one.user, two.user);
      await one.leave();
      await settled(watcher, tabs);
      await two.leave();
      await settled(watcher, tabs);
      await Promise.all(tabs.map((tab) => tab.leave()));
      await settled(watcher, tabs);
      assert.equal(watcher.here().size, 0);
    },
    TEST_MS,
  );

  scenario(
    'a node that drains tells its sockets to leave, and what goes on elsewhere stays',
    life,
    async (own) => {
      const room = `/topic/rooms/${crypto.randomUUID()}`;
      const watcher = new Watcher(room, own);
      await watcher.watch();
      const tabs = await crowd(room, 'drained', own);
      await settled(watcher, tabs);
      const [node] = cluster.nodes;
      await node.drain();
      await settled(watcher, tabs);
      const overHttp = tabs.filter(({ user }) => !user.includes('websocket'));
      assert.ok(
        overHttp.every(({ isOpen }) => isOpen),
        'sessions over HTTP go on',
      );
      await node.start();
      await Promise.all(tabs.map((tab) => tab.leave()));
      await settled(watcher, tabs);
    },
    TEST_MS,
  );
});
