// One event under load, judged.

import { accountsOf, lostOf } from './accounts.js';
import { underLoad } from './load.js';
import { broken, promisedOf } from './promises.js';

/** How many of the messages that a session lost are named. */
const EXAMPLES = 5;

/**
 * Lets something happen to a cluster under load, and compares what clients saw with what is promised.
 *
 * @param {object} setting as for underLoad
 * @param {{name: string, happen: Function}} event one of events.js
 * @param {number} seconds
 * @returns {Promise<{rows: object[], outcomes: object, breaches: string[]}>} a row for each place and transport
 */
export async function tryEvent(setting, event, seconds) {
  const { sessions, unopened, outcomes } = await underLoad(setting, () => event.happen(setting.cluster, seconds));
  const { groups, rank } = accountsOf(sessions, ({ place, transport }) => `${transport}, ${place}`);
  const breaches = [];
  const rows = setting.clients.map(({ place, transport }) => {
    const group = `${transport}, ${place.name}`;
    const account = groups.get(group);
    const promised = promisedOf(event.name, place.name, transport);
    for (const breach of broken(account, promised)) breaches.push(`${group}: ${breach}`);
    return { place: place.name, transport, promised: promised.text, account };
  });
  for (const session of sessions) {
    const lost = lostOf(session, rank);
    if (lost.length > 0) breaches.push(`${session.name} lacks ${lost.slice(0, EXAMPLES).join(', ')}`);
  }
  for (const { name, place, transport, closed, reason } of sessions) {
    if (closed !== null && !promisedOf(event.name, place, transport).ends.includes(closed)) {
      breaches.push(`${name} ended with ${closed} ${reason}`);
    }
  }
  const vanished = outcomes.flatMap(({ accepted }) => accepted).filter((text) => !rank.has(text));
  const mayVanish = setting.clients.every(
    ({ place, transport }) => promisedOf(event.name, place.name, transport).vanishes,
  );
  if (vanished.length > 0 && !mayVanish)
    breaches.push(`${vanished.length} messages were accepted, and nobody got them`);
  for (const { transport, code, reason } of unopened) breaches.push(`${transport}: not opened: ${code} ${reason}`);
  return { rows, outcomes: sumOf(outcomes), breaches, sessions };
}

function sumOf(outcomes) {
  const sum = (name) => outcomes.reduce((total, outcome) => total + (outcome[name].length ?? outcome[name]), 0);
  return { accepted: sum('accepted'), refused: sum('refused'), unknown: sum('unknown'), cut: sum('cut') };
}
