// A real redis-server on a port and in a directory of its own, which can be stopped, restarted and asked.

import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from './child.js';
import { within } from './deadline.js';
import { freePort } from './ports.js';

const REDIS = process.env.REDIS_BIN ?? 'redis-server';
const READY = /Ready to accept connections/;
const ANSWER_MS = 10_000;

/**
 * Starts Redis.
 *
 * @param {{durable?: boolean}} [options] durable: every write is on disk before it is answered (AOF, fsync always)
 */
export async function startRedis({ durable = false } = {}) {
  const redis = new Redis(await freePort(), await mkdtemp(join(tmpdir(), 'sockhop-redis-')), durable);
  await redis.start();
  return redis;
}

class Redis {
  #port;
  #directory;
  #durable;
  #child;
  name = 'redis';

  constructor(port, directory, durable) {
    this.#port = port;
    this.#directory = directory;
    this.#durable = durable;
    this.url = `redis://127.0.0.1:${port}`;
  }

  get output() {
    return this.#child.output;
  }

  /** Starts it on its port, with the data that it left there. */
  async start() {
    const settings = {
      port: this.#port,
      bind: '127.0.0.1',
      dir: this.#directory,
      save: '',
      appendonly: this.#durable ? 'yes' : 'no',
      appendfsync: 'always',
      'maxmemory-policy': 'noeviction',
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    this.#child = new Child('redis', REDIS, args);
    await this.#child.line(READY);
  }

  signal(name) {
    this.#child.signal(name);
  }

  /** Ends it as a crash does, and starts it again. */
  async restart() {
    await this.#child.end('SIGKILL');
    await this.start();
  }

  /** Sends one command and resolves with the first line of its answer. */
  async ask(...words) {
    const socket = connect(this.#port, '127.0.0.1');
    socket.end(`${words.join(' ')}\r\n`);
    try {
      const [bytes] = await within(ANSWER_MS, `Redis to answer ${words[0]}`, once(socket, 'data'));
      const [line] = bytes.toString().split('\r\n');
      if (line.startsWith('-')) throw new Error(`Redis refused ${words.join(' ')}: ${line}`);
      return line;
    } finally {
      socket.destroy();
    }
  }

  async stop() {
    if (!this.#child.ended) await this.#child.end('SIGKILL');
    await rm(this.#directory, { recursive: true, force: true });
  }
}
