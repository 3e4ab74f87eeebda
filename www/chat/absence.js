// What a loss of the connection has cost. The positions before it and the server's newest positions after it say how many
// messages came meanwhile; that each of them was received is seen in the rooms, which take nothing out of order.

import { distance, hasReached } from './position.js';

export class Absence {
  #since = Date.now();
  #took = null;
  #before;
  #goals = null;

  /** `from` says over what one was connected: {transport, node}. */
  constructor(rooms, from) {
    this.from = from;
    this.#before = new Map(rooms.map((room) => [room, { newest: room.newest, gone: room.gone }]));
  }

  /** The connection is back. */
  end() {
    this.#took ??= Date.now() - this.#since;
  }

  /** It was lost again before all had come. */
  goesOn() {
    this.#took = null;
    this.#goals = null;
  }

  /** The newest positions that the server has, by the names of rooms. */
  expect(newest) {
    this.#goals = new Map([...this.#before.keys()].map((room) => [room, newest.get(room.name) ?? null]));
  }

  /** Once everything has come: `{took, came, gone}`, where `came` is null if it cannot be known; till then null. */
  outcome() {
    if (this.#goals === null) return null;
    const rooms = [...this.#goals];
    if (rooms.some(([room, goal]) => !hasReached(room.newest, goal))) return null;
    let [came, gone] = [0, 0];
    for (const [room, goal] of rooms) {
      const before = this.#before.get(room);
      gone += room.gone - before.gone;
      if (before.newest !== null) came = sum(came, distance(before.newest, goal));
    }
    return { took: this.#took, came, gone };
  }
}

/** Null where either cannot be known: a room that had messages and has none is another one. */
function sum(all, more) {
  return all === null || more === null ? null : all + Math.max(0, more);
}
