// What is promised of each transport when something happens to its node, as the table of promises in the documentation
// has it; and where an account breaks that.

/**
 * @typedef {object} Promised
 * @property {string} text how documents say it
 * @property {number[]} ends the codes with which sessions may end; any other code breaks the promise
 * @property {boolean} [repeats] whether messages may come again
 * @property {boolean} [hangs] whether clients of this place may miss that their stream was cut
 * @property {boolean} [again] whether a handler call may be made again
 * @property {boolean} [vanishes] whether accepted messages may be gone for all
 * @property {boolean} [silent] whether the service may miss the end of a session
 */

const exactlyOnce = { text: 'exactly once', ends: [] };
const cut = { text: 'cut: ends with 1006', ends: [1006], again: true };
const cutUnnoticed = {
  text: 'cut: ends with 1006, which this client notices when it sends',
  ends: [1006],
  again: true,
  hangs: true,
};
const reopens = { text: 'reopens: at least once', ends: [], repeats: true, again: true };
const poll = { text: 'exactly once; killed in the middle of a body: ends with 1006', ends: [1006], again: true };

const late = { text: 'exactly once, late', ends: [] };
// A session whose record is gone begins anew, which stock clients read as lost; a WebSocket's misses messages.
const told = { text: 'told: the session ends', ends: [1006, 4504], silent: true, vanishes: true };

/** By event, then by transport; `Node` where the client there behaves otherwise than in browsers. */
export const promises = {
  calm: { default: exactlyOnce },
  drains: {
    default: exactlyOnce,
    websocket: { text: 'told to reconnect: ends with 4505', ends: [4505] },
  },
  kills: {
    'xhr-polling': poll,
    'jsonp-polling': poll,
    'xhr-streaming': cut,
    htmlfile: cutUnnoticed,
    eventsource: reopens,
    websocket: { text: 'closed: ends with 1006', ends: [1006], silent: true },
    Node: { 'xhr-streaming': cutUnnoticed },
  },
  stops: {
    default: exactlyOnce,
    'xhr-streaming': cut,
    htmlfile: cutUnnoticed,
    eventsource: reopens,
    Node: { 'xhr-streaming': cutUnnoticed },
  },
  restart: { default: late },
  unsubscribe: { default: late },
  disconnect: { default: late },
  freeze: { default: late },
  flush: { default: told },
};

/** What is promised of a transport's clients in a place. */
export function promisedOf(event, place, transport) {
  const promised = promises[event];
  return promised[place]?.[transport] ?? promised[transport] ?? promised.default;
}

/** How an account breaks what is promised: a sentence for each way. */
export function broken(account, promised) {
  const breaches = [];
  const never = (count, what) => count > 0 && breaches.push(`${count} ${what}`);
  never(account.lost, 'messages lost');
  never(account.reordered, 'messages reordered');
  never(account.endsAgain, 'sessions whose end was told to the service again');
  if (!promised.repeats) never(account.repeated, 'messages repeated');
  if (!promised.again) never(account.handledAgain, 'messages handled again');
  if (!promised.silent) never(account.endsMissing, 'sessions whose end was not told to the service');
  if (!promised.hangs) never(account.hung, 'clients that did not notice the end');
  for (const [code, count] of Object.entries(account.ends)) {
    if (!promised.ends.includes(Number(code))) breaches.push(`${count} sessions ended with ${code}`);
  }
  return breaches;
}
