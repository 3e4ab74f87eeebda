// Every scenario over every transport of a place, as node:test suites.

import { describe } from 'node:test';
import { scenario } from '../harness/scenario.js';
import { clientCloses, clientVanishes, heartbeats, responseLimit, serverCloses } from './life.js';
import { largeMessage, thousandMessages, treacherousTexts, wholeUnicode } from './messages.js';

const SCENARIOS = [
  thousandMessages,
  wholeUnicode,
  treacherousTexts,
  largeMessage,
  serverCloses,
  responseLimit,
  heartbeats,
  clientVanishes,
  clientCloses,
];

/** How many transports are tested at once: heartbeats and pauses of one are used by another. */
const CONCURRENCY = 4;

/**
 * Declares the tests of `transports` at `place`.
 *
 * @param {object} setting
 * @param {object} setting.place
 * @param {string[]} setting.transports
 * @param {object} setting.server has heartbeats of a second or so
 * @param {object} setting.around the lifetime that the server belongs to
 * @param {Record<string, object[]>} [setting.faults] by transport, the scenarios that the client itself gets wrong
 */
export function describeTransports({ place, transports, server, around, faults = {} }) {
  describe(place.name, { concurrency: CONCURRENCY }, () => {
    for (const transport of transports) {
      describe(transport, { concurrency: 1 }, () => {
        const wrong = faults[transport] ?? [];
        for (const { claim, applies = () => true, run } of SCENARIOS.filter((each) => !wrong.includes(each))) {
          if (applies(transport)) scenario(claim, around, (life) => run({ place, transport, server, life }));
        }
      });
    }
  });
}
