// `sockhop cluster`: Redis, nodes and nginx, started and ended by the program itself.

import { Child } from './child.js';
import { binary, cleanEnvironment } from './sockhop.js';

const LISTENING = /^sockhop \S+ cluster listening on (http:\/\/[^/\s]+)\//;
const START_MS = 30_000;
const END_MS = 30_000;

/**
 * Starts a cluster, with its page on a free port.
 *
 * @param {string[]} [args] further flags of the command, and after `--` those of its nodes
 */
export async function startClusterCommand(args = []) {
  const child = new Child('sockhop cluster', binary(), ['cluster', '--listen', '127.0.0.1:0', ...args], {
    env: cleanEnvironment(),
  });
  const [, url] = await child.line(LISTENING, START_MS);
  return new ClusterCommand(child, url);
}

class ClusterCommand {
  #child;
  name = 'sockhop cluster';

  constructor(child, url) {
    this.#child = child;
    this.url = url;
  }

  get output() {
    return this.#child.output;
  }

  async stop() {
    const { code, signal } = await this.#child.end('SIGTERM', END_MS);
    if (code !== 0) throw new Error(`the cluster ended with ${code ?? signal}:\n${this.output}`);
  }
}
