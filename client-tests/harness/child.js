// A child process whose output is kept, whose lines can be awaited, and which never outlives this process.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { within } from './deadline.js';

const KEPT_CHARACTERS = 64 * 1024;
const running = new Set();

process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => process.exit(1));
}

export class Child {
  #process;
  #watchers = new Set();
  #output = '';

  /** Resolves with `{code, signal}` once the process has ended and its output is read. */
  exited;
  ended = false;

  /**
   * @param {string} name what failure messages call it
   * @param {string} command
   * @param {string[]} args
   * @param {{env?: Record<string, string | undefined>, cwd?: string}} [options]
   */
  constructor(name, command, args, { env = process.env, cwd } = {}) {
    this.name = name;
    this.#process = spawn(command, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this.#process);
    this.exited = new Promise((resolve) => {
      this.#process.once('error', (error) => {
        this.#keep(`${command}: ${error.message}`);
        resolve({ code: null, signal: null });
      });
      this.#process.once('close', (code, signal) => resolve({ code, signal }));
    }).then((how) => {
      running.delete(this.#process);
      this.ended = true;
      for (const watcher of this.#watchers) watcher.fail();
      return how;
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      createInterface({ input: stream }).on('line', (line) => this.#keep(line));
    }
  }

  /** The newest part of what the process wrote to stdout and stderr. */
  get output() {
    return this.#output;
  }

  /** The match of the first line from now on that fits `pattern`; fails at once when the process ends without one. */
  line(pattern, ms = 10_000) {
    return within(
      ms,
      () => `${this.name} to write ${pattern}; it wrote:\n${this.output}`,
      new Promise((resolve, reject) => {
        const watcher = {
          see: (line) => {
            const match = pattern.exec(line);
            if (!match) return;
            this.#watchers.delete(watcher);
            resolve(match);
          },
          fail: () => reject(new Error(`${this.name} ended before it wrote ${pattern}:\n${this.output}`)),
        };
        this.#watchers.add(watcher);
      }),
    );
  }

  signal(name) {
    this.#process.kill(name);
  }

  /** Sends `signal` and awaits the end; a process that does not heed it is killed and reported. */
  async end(signal, ms = 10_000) {
    this.signal(signal);
    try {
      return await within(ms, () => `${this.name} to end on ${signal}; it wrote:\n${this.output}`, this.exited);
    } catch (error) {
      this.signal('SIGKILL');
      await this.exited;
      throw error;
    }
  }

  #keep(line) {
    this.#output = `${this.#output}${line}\n`.slice(-KEPT_CHARACTERS);
    for (const watcher of [...this.#watchers]) watcher.see(line);
  }
}
