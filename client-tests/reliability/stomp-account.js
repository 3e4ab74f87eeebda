// What became of the messages of a STOMP subscription: their message-ids are places in a topic, `LIFE-NUMBER`.

/**
 * An account of subscriptions that were to get every message of their topics.
 *
 * @param {Array<{closed: number|null, got: Map<string, string[]>}[]>} clients the lives of each client, in order: how its
 *   connection ended, and the message-ids that came, by destination
 * @param {object} options
 * @param {boolean} options.goesOn whether a life goes on where the last one was
 * @param {(client: number) => Map<string, number>} options.heads the number of the newest message of each destination
 */
export function accountOf(clients, { goesOn, heads }) {
  const account = { clients: clients.length, ends: {}, delivered: 0, lost: 0, repeated: 0, reordered: 0 };
  clients.forEach((lives, client) => {
    for (const { closed } of lives) if (closed !== null) account.ends[closed] = (account.ends[closed] ?? 0) + 1;
    for (const [destination, head] of heads(client)) {
      const runs = lives.map(({ got }) => (got.get(destination) ?? []).map(numberOf));
      for (const run of goesOn ? [runs.flat()] : runs) follow(account, run);
      // Whoever is connected at the end has the newest.
      const last = goesOn ? runs.flat().at(-1) : runs.at(-1).at(-1);
      if (last !== undefined) account.lost += head - last;
    }
  });
  return account;
}

/** Counts holes and repetitions of one run. */
function follow(account, numbers) {
  const seen = new Set();
  let newest;
  for (const number of numbers) {
    account.delivered += 1;
    if (seen.has(number)) account.repeated += 1;
    else if (newest !== undefined && number < newest) account.reordered += 1;
    else if (newest !== undefined) account.lost += number - newest - 1;
    seen.add(number);
    newest = Math.max(newest ?? number, number);
  }
}

/** The number in a message-id. */
export const numberOf = (id) => Number(id.slice(id.lastIndexOf('-') + 1));
