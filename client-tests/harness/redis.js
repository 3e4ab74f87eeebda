// A real redis-server on a socket of its own, with nothing on disk.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from './child.js';

const REDIS = process.env.REDIS_BIN ?? 'redis-server';
const READY = /Ready to accept connections|The server is now ready to accept connections at/;

/** Starts a server; `url` is what --store takes. */
export async function startRedis() {
  const directory = await mkdtemp(join(tmpdir(), 'sockhop-redis-'));
  const socket = join(directory, 'redis.sock');
  const child = new Child('redis-server', REDIS, [
    ...['--port', '0', '--unixsocket', socket],
    ...['--save', '', '--appendonly', 'no', '--dir', directory],
  ]);
  await child.line(READY);
  return new Redis(child, directory, `redis+unix://${socket}`);
}

class Redis {
  #child;
  #directory;
  name = 'redis-server';

  constructor(child, directory, url) {
    this.#child = child;
    this.#directory = directory;
    this.url = url;
  }

  get output() {
    return this.#child.output;
  }

  async stop() {
    await this.#child.end('SIGKILL');
    await rm(this.#directory, { recursive: true, force: true });
  }
}
