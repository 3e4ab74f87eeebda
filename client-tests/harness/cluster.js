// Three sockhop processes over one Redis, behind an nginx that gives each request to the next of them.

import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { within } from './deadline.js';
import { startNginx } from './nginx.js';
import { freePort } from './ports.js';
import { fetchRaw } from './raw.js';
import { startRedis } from './redis.js';
import { startSockhop } from './sockhop.js';

// It names three nodes.
const NGINX_FILE = new URL('../../deploy/nginx.conf', import.meta.url);
const NODES = 3;
// What one command to the store is waited for: the default, unless the lease is too short for it.
const LONGEST_TIMEOUT_MS = 2_000;
const READY_MS = 30_000;
const LOOK_MS = 50;

/**
 * Starts a cluster.
 *
 * @param {object} [options]
 * @param {number} [options.lease] seconds that a node may be silent before others count it as dead
 * @param {boolean} [options.durable] whether Redis keeps its data over a restart
 * @param {string[]} [options.args] further flags of each node
 */
export async function startCluster({ lease = 3, durable = false, args = [] } = {}) {
  const redis = await startRedis({ durable });
  const cluster = new Cluster(redis, lease);
  try {
    const settings = [
      '--store',
      redis.url,
      '--store-lease',
      `${lease}s`,
      '--store-timeout',
      `${Math.min(lease * 300, LONGEST_TIMEOUT_MS)}ms`,
      '--request-id-header',
      'x-request-id',
    ];
    for (let number = 1; number <= NODES; number += 1) {
      const port = await freePort();
      cluster.nodes.push(new ClusterNode(number, port, [...settings, '--show-node', ...args]));
    }
    await Promise.all(cluster.nodes.map((node) => node.start()));
    cluster.nginx = await startNginx((listen) => balancer(listen, cluster.nodes), { connections: 4096 });
    cluster.url = cluster.nginx.url;
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

class Cluster {
  name = 'cluster';
  nodes = [];
  nginx = null;

  constructor(redis, lease) {
    this.redis = redis;
    this.lease = lease;
  }

  get output() {
    return this.nodes.map((node) => `${node.name}: ${node.output.slice(-1500)}`).join('\n');
  }

  async stop() {
    await this.nginx?.stop();
    const ends = await Promise.allSettled(this.nodes.map((node) => node.stop()));
    await this.redis.stop();
    const failed = ends.find(({ status }) => status === 'rejected');
    if (failed) throw failed.reason;
  }
}

/** One process, again and again at the same address. */
class ClusterNode {
  #args;
  #server = null;

  constructor(number, port, args) {
    this.name = `node ${number}`;
    this.address = `127.0.0.1:${port}`;
    this.url = `http://${this.address}`;
    this.#args = args;
  }

  get output() {
    return this.#server?.output ?? '';
  }

  /** Starts it and resolves when it is ready. */
  async start() {
    this.#server = await startSockhop({ listen: this.address, args: this.#args });
    await this.ready();
  }

  /** Whether the node says that it is ready; `undefined` when it does not answer. */
  async isReady() {
    try {
      const { status } = await fetchRaw('GET', `${this.url}/readyz`, { ms: 1_000 });
      return status === 200;
    } catch {
      return undefined;
    }
  }

  /** Resolves once the node is ready. */
  ready() {
    const looking = async () => {
      while (!(await this.isReady())) await pause(LOOK_MS);
    };
    return within(READY_MS, () => `${this.name} to be ready; it wrote:\n${this.output}`, looking());
  }

  /** Asks it to drain, and fails unless it ends well. */
  async drain() {
    const { code, signal } = await this.#server.drain(20_000);
    if (code !== 0) throw new Error(`${this.name} ended with ${code ?? signal} after a drain:\n${this.output}`);
  }

  /** Ends it as a crash does. */
  async kill() {
    await this.#server.stop();
  }

  signal(name) {
    this.#server.signal(name);
  }

  async stop() {
    await this.#server?.stop();
  }
}

/** The file that operators are given, with this cluster's addresses in it. */
async function balancer(listen, nodes) {
  let text = await readFile(NGINX_FILE, 'utf8');
  const replace = (what, by) => {
    if (!text.includes(what)) throw new Error(`deploy/nginx.conf has no "${what}"`);
    text = text.replace(what, by);
  };
  nodes.forEach(({ address }, index) => replace(`server node${index + 1}:8081 `, `server ${address} `));
  replace('listen 80;', `listen ${listen};`);
  return text;
}
