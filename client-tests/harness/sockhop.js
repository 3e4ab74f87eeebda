// The sockhop binary under test: started on a free port, its URL read from its first line.

import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Child } from './child.js';

const LISTENING = /^sockhop \S+ listening on (http:\/\/[^/\s]+)\/?/;

/**
 * Starts a server with the test services, on a port of its own unless an address is given.
 *
 * @param {{listen?: string, args?: string[], env?: Record<string, string>}} [options] address, further flags and
 *   SOCKHOP_ variables
 */
export async function startSockhop({ listen = '127.0.0.1:0', args = [], env = {} } = {}) {
  const all = ['--listen', listen, '--test-services', ...args];
  const child = new Child('sockhop', binary(), all, { env: { ...cleanEnvironment(), ...env } });
  const [, url] = await child.line(LISTENING);
  return new Sockhop(child, url);
}

class Sockhop {
  #child;
  name = 'sockhop';

  constructor(child, url) {
    this.#child = child;
    this.url = url;
  }

  get output() {
    return this.#child.output;
  }

  signal(name) {
    this.#child.signal(name);
  }

  /** The match of the next line of stdout or stderr that fits `pattern`. */
  line(pattern, ms) {
    return this.#child.line(pattern, ms);
  }

  /** Asks the server to drain and resolves with `{code, signal}`. */
  drain(ms = 10_000) {
    return this.#child.end('SIGTERM', ms);
  }

  /** Ends the server without a drain; a server that had crashed or panicked meanwhile is a failure. */
  async stop() {
    const { ended } = this.#child;
    await this.#child.end('SIGKILL');
    if (this.output.includes('panicked at')) throw new Error(`sockhop panicked:\n${this.output}`);
    const { code } = await this.#child.exited;
    if (ended && code !== 0) throw new Error(`sockhop had ended by itself, code ${code}:\n${this.output}`);
  }
}

/** SOCKHOP_BIN, or the binary that was built last. */
export function binary() {
  if (process.env.SOCKHOP_BIN) return process.env.SOCKHOP_BIN;
  const built = ['release', 'debug']
    .map((profile) => fileURLToPath(new URL(`../../target/${profile}/sockhop`, import.meta.url)))
    .filter((path) => existsSync(path))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  if (built.length === 0) throw new Error('no sockhop binary: build it with "cargo build" or set SOCKHOP_BIN');
  return built[0];
}

/** The caller's environment without settings that would change the server under test. */
export function cleanEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SOCKHOP_')));
}
