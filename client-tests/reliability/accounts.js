// What became of every message: accounts of what the clients of a ledger saw, against what was said.
//
// A session's record is a plain object:
//   {name, transport, sent, got, closed, early, isHung, endsTold}
//   name      unique, also in what it sends: `NAME:1`, `NAME:2` and so on up to `sent`
//   got       all texts that it received, in order
//   closed    the code with which it ended, or null if it lives
//   early     whether it was there before the first message was published
//   isHung    whether it is over and its client has not noticed
//   endsTold  how often the service was told of its end

const TOLD = /^told (\S+) (\S+):(\d+) #\d+$/;
const COMMON = /^(published|left) /;

/**
 * The order in which messages were published, as all sessions together saw it.
 *
 * @param {string[][]} lists what each session saw, in its order
 */
export function commonOrder(lists) {
  const order = [];
  const known = new Set();
  for (const list of [...lists].sort((a, b) => b.length - a.length)) {
    const missing = list.filter((text) => !known.has(text));
    if (missing.length === 0) continue;
    const rank = new Map(order.map((text, index) => [text, index]));
    // What only this session saw stands behind what it saw before.
    const behind = new Map();
    let last = -1;
    for (const text of list) {
      if (rank.has(text)) {
        last = rank.get(text);
      } else if (!known.has(text)) {
        known.add(text);
        behind.set(last, [...(behind.get(last) ?? []), text]);
      }
    }
    const merged = [...(behind.get(-1) ?? [])];
    order.forEach((text, index) => merged.push(text, ...(behind.get(index) ?? [])));
    order.splice(0, order.length, ...merged);
  }
  return order;
}

/** What a session saw of what was published to all, each once, in its order. */
export function commonOf({ got }) {
  return [...new Set(got.filter((text) => COMMON.test(text)))];
}

/**
 * The account of one session.
 *
 * @param {object} session
 * @param {Map<string, number>} rank where each published message stands in the common order, in that order
 */
export function accountOf(session, rank) {
  const told = toldOf(session);
  return {
    delivered: session.got.length,
    lost: lostOf(session, rank).length,
    repeated: session.got.length - new Set(session.got).size,
    reordered: descents(commonOf(session).map((text) => rank.get(text))) + descents(told.order),
    handledAgain: told.stamps - told.numbers.size,
    endsAgain: Math.max(0, session.endsTold - 1),
    endsMissing: !isAlive(session) && session.endsTold === 0 ? 1 : 0,
  };
}

const isAlive = ({ closed, isHung }) => closed === null && !isHung;

/** What a session should have got and has not: up to the last that it got, or all of it if the session is alive. */
export function lostOf(session, rank) {
  const common = new Set(commonOf(session));
  const ranks = [...common].map((text) => rank.get(text));
  const first = session.early ? 0 : Math.min(...ranks, rank.size);
  const last = isAlive(session) ? rank.size - 1 : Math.max(...ranks, -1);
  const lost = [...rank.keys()].slice(first, last + 1).filter((text) => !common.has(text));
  const { numbers } = toldOf(session);
  for (let number = 1; isAlive(session) && number <= session.sent; number += 1) {
    if (!numbers.has(number)) lost.push(`the answer to ${session.name}:${number}`);
  }
  return lost;
}

/** What a session was told of its own messages. */
function toldOf({ got, name }) {
  const stamps = new Set();
  const order = [];
  for (const text of new Set(got)) {
    const [, stamp, whose, number] = TOLD.exec(text) ?? [];
    if (whose !== name || stamps.has(stamp)) continue;
    stamps.add(stamp);
    order.push(Number(number));
  }
  return { stamps: stamps.size, numbers: new Set(order), order };
}

function descents(numbers) {
  return numbers.filter((number, index) => index > 0 && number < numbers[index - 1]).length;
}

/**
 * The accounts of many sessions, in groups.
 *
 * @param {object[]} sessions
 * @param {(session: object) => string} groupOf
 * @returns {{groups: Map<string, object>, rank: Map<string, number>}} of each group the sums of its accounts, its
 *   clients, its ends by code, and its hung sessions; and the order of what was published
 */
export function accountsOf(sessions, groupOf) {
  const rank = new Map(commonOrder(sessions.map(commonOf)).map((text, index) => [text, index]));
  const groups = new Map();
  for (const session of sessions) {
    const key = groupOf(session);
    if (!groups.has(key)) groups.set(key, { clients: 0, ends: {}, hung: 0 });
    const group = groups.get(key);
    if (session.early) group.clients += 1;
    if (session.isHung) group.hung += 1;
    if (session.closed !== null) group.ends[session.closed] = (group.ends[session.closed] ?? 0) + 1;
    for (const [name, value] of Object.entries(accountOf(session, rank))) group[name] = (group[name] ?? 0) + value;
  }
  return { groups, rank };
}
