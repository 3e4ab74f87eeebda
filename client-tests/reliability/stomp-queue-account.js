// What became of the messages of a work queue: each has to be handled by some consumer, and not again after that is known.

/**
 * An account of one queue.
 *
 * @param {Array<{closed: number|null}[]>} clients the lives of each consumer: how its connection ended
 * @param {object} record
 * @param {string[]} record.accepted the messages whose receipt came
 * @param {{what: 'came'|'acked'|'confirmed'|'left', text: string, redelivered?: boolean}[]} record.log what consumers saw
 *   and did, in its order: a MESSAGE came, its ACK was sent, the receipt of the ACK came; and what was found in the queue
 *   after all of them had left
 */
export function queueAccountOf(clients, { accepted, log }) {
  const of = (what) => log.filter((entry) => entry.what === what).map(({ text }) => text);
  const acked = new Set(of('acked'));
  const account = { clients: clients.length, ends: {}, accepted: accepted.length, delivered: of('came').length };
  for (const { closed } of clients.flat()) if (closed !== null) account.ends[closed] = (account.ends[closed] ?? 0) + 1;
  account.acknowledged = acked.size;
  account.lost = accepted.filter((text) => !acked.has(text)).length;
  account.left = of('left').length;
  return Object.assign(account, comingsOf(log));
}

/**
 * How many messages said that they are redelivered; how many came more than once, how many of them did not say so, and how
 * many were known to be handled.
 */
function comingsOf(log) {
  const [seen, marked, again, unmarked, confirmed, handled] = Array.from({ length: 6 }, () => new Set());
  for (const { what, text, redelivered } of log) {
    if (what === 'confirmed') confirmed.add(text);
    if (what !== 'came') continue;
    if (redelivered) marked.add(text);
    if (seen.has(text)) again.add(text);
    if (seen.has(text) && !redelivered) unmarked.add(text);
    if (confirmed.has(text)) handled.add(text);
    seen.add(text);
  }
  return { redelivered: marked.size, again: again.size, unmarked: unmarked.size, afterConfirmed: handled.size };
}

/** How an account breaks what is promised: a sentence for each way. */
export function queueBreaches(account, codes) {
  const breaches = [];
  const never = (count, what) => count > 0 && breaches.push(`${count} ${what}`);
  never(account.lost, 'messages were accepted and not acknowledged by anybody');
  never(account.left, 'messages left in the queue');
  never(account.unmarked, 'messages came again and did not say so');
  never(account.afterConfirmed, 'messages came again after the receipt of their acknowledgement');
  for (const [code, count] of Object.entries(account.ends)) {
    if (!codes.includes(Number(code))) breaches.push(`${count} connections ended with ${code}`);
  }
  return breaches;
}
