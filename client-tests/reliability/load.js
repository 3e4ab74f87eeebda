// Clients of a cluster's ledger, some of each transport, and one publisher at each node, while something happens.

import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Publisher } from './publisher.js';

const LOOK_MS = 200;
const OPENED_MS = 60_000;
const ARRIVED_MS = 30_000;

/**
 * Lets clients and publishers talk while something happens.
 *
 * @param {object} setting
 * @param {object} setting.cluster
 * @param {{place: object, transport: string, count: number}[]} setting.clients
 * @param {number} setting.sendMs the time between two messages of a client
 * @param {number} setting.publishMs the time between two messages of a publisher
 * @param {() => Promise<void>} happen
 * @returns the records of all sessions, each with its place, what publishers were told, and the failed attempts to open
 *   a session
 */
export async function underLoad(setting, happen) {
  const load = new Load(setting);
  try {
    await load.begin();
    await happen();
    return await load.end();
  } finally {
    await load.leave();
  }
}

class Load {
  // In every name, and so in all that is said: what an earlier load left behind is not this one's.
  #run = randomBytes(4).toString('hex');
  #setting;
  #seats = [];
  #publishers = [];

  constructor(setting) {
    this.#setting = setting;
  }

  /** Resolves once all clients and publishers are there, and then lets them speak. */
  async begin() {
    const { cluster, clients, sendMs, publishMs } = this.#setting;
    // Those of one transport one after the other: pages take their time to open.
    const taking = clients.map(async ({ place, transport, count }) => {
      for (let number = 1; number <= count; number += 1) {
        const name = `${this.#run}-${place.name}-${transport}-${number}`;
        this.#seats.push({ place: place.name, seat: await place.take({ url: cluster.url, transport, name }) });
      }
    });
    await Promise.all(taking);
    this.#publishers = cluster.nodes.map((node, index) => new Publisher(node.url, `${this.#run}-p${index + 1}`));
    const areOpen = async () =>
      (await this.#look()).filter(({ closed }) => closed === null).length >= this.#seats.length;
    if (!(await eventually(OPENED_MS, areOpen))) throw new Error('not all clients could open a session');
    const areThere = () => this.#publishers.every(({ isThere }) => isThere);
    if (!(await eventually(OPENED_MS, areThere))) throw new Error('not all publishers could open a session');
    await Promise.all(this.#seats.map(({ seat }) => seat.speak(sendMs)));
    for (const publisher of this.#publishers) publisher.speak(publishMs);
  }

  /** Resolves once everything that was said had time to arrive. */
  async end() {
    await Promise.all([...this.#seats.map(({ seat }) => seat.hush()), ...this.#publishers.map((one) => one.hush())]);
    await eventually(ARRIVED_MS, async () => {
      const sessions = await this.#look();
      const ends = endsIn(sessions);
      return sessions.every((session) => ends.has(session.name) || isSettled(session));
    });
    const last = await this.#sayLast();
    await eventually(ARRIVED_MS, async () => {
      const sessions = await this.#look();
      const ends = endsIn(sessions);
      return sessions.every(({ closed, name, got }) => closed !== null || ends.has(name) || got.includes(last));
    });
    const sessions = await this.#look();
    const ends = endsIn(sessions);
    for (const session of sessions) {
      session.endsTold = ends.get(session.name) ?? 0;
      session.isHung = session.closed === null && session.endsTold > 0 && !session.got.includes(last);
      // Ends that were told later have not reached everybody yet.
      if (session.got.includes(last)) session.got.splice(session.got.indexOf(last) + 1);
    }
    return {
      sessions,
      unopened: (await this.#looks()).flatMap(({ unopened }) => unopened),
      outcomes: this.#publishers.map(({ outcomes }) => outcomes),
    };
  }

  async leave() {
    for (const publisher of this.#publishers) publisher.leave();
    await Promise.allSettled(this.#seats.map(({ seat }) => seat.leave()));
  }

  async #looks() {
    const looks = this.#seats.map(async ({ place, seat }) => ({ place, ...(await seat.look()) }));
    return Promise.all(looks);
  }

  async #look() {
    const looks = await this.#looks();
    return looks.flatMap(({ place, sessions }) =>
      sessions.map((session) => ({ ...session, place, got: session.got.filter((text) => text.includes(this.#run)) })),
    );
  }

  /** The last message of all, behind which nothing comes. */
  async #sayLast() {
    for (;;) {
      for (const publisher of this.#publishers) {
        const said = await publisher.say('last');
        if (said) return said;
      }
      await pause(LOOK_MS);
    }
  }
}

/** How often each session's end was told to all, by the session's name. */
function endsIn(sessions) {
  const ends = new Map();
  for (const text of new Set(sessions.flatMap(({ got }) => got.filter((text) => text.startsWith('left '))))) {
    const [, , name] = text.split(' ');
    ends.set(name, (ends.get(name) ?? 0) + 1);
  }
  return ends;
}

/** Whether nothing more is expected of a session. The end of a WebSocket may go down with its node. */
const isSettled = (session) => (session.closed === null ? isAnswered(session) : session.transport === 'websocket');

const isAnswered = ({ sent, got, name }) =>
  sent === 0 || got.some((text) => text.startsWith('told ') && text.includes(` ${name}:${sent} #`));

async function eventually(ms, ready) {
  const end = Date.now() + ms;
  while (!(await ready())) {
    if (Date.now() > end) return false;
    await pause(LOOK_MS);
  }
  return true;
}
