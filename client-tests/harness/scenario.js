// A test whose things end with it, and whose failure shows what the servers wrote.

import { test } from 'node:test';
import { Lifetime } from './lifetime.js';
import { TEST_MS } from './patience.js';

/**
 * Declares a test.
 *
 * @param {string} claim the test's name: what holds
 * @param {Lifetime} around holds what the test shares with others, its servers above all
 * @param {(life: Lifetime) => Promise<void>} run gets the test's own lifetime
 * @param {number} [ms] how long it may take
 */
export function scenario(claim, around, run, ms = TEST_MS) {
  test(claim, { timeout: ms }, async () => {
    const life = new Lifetime();
    try {
      await run(life);
    } catch (error) {
      const reports = [around.report(), life.report()].filter((report) => report !== '');
      throw new Error([error.message, ...reports].join('\n'), { cause: error });
    } finally {
      await life.end();
    }
  });
}
