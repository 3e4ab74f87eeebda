// Who is in a room: first all, then each who comes and goes, as the server tells at `/presence`.

import { parsePerson } from './person.js';

export class People {
  /** How many there are: more than are known by name, in a large room. */
  count = 0;
  #users = new Set();

  /** Those who are known by name, in the order of their names. */
  get all() {
    const people = [...this.#users].map((user) => ({ user, ...parsePerson(user) }));
    return people.sort((one, other) => one.name.localeCompare(other.name) || one.mark.localeCompare(other.mark));
  }

  take({ type, user, members, count }) {
    if (type === 'here') this.#users = new Set(members.map((member) => member.user).filter(Boolean));
    if (type === 'join' && user) this.#users.add(user);
    if (type === 'leave') this.#users.delete(user);
    this.count = count;
  }
}
