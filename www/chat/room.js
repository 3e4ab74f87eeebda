// One room as this page knows it: an unbroken part of its messages, up to the newest; what of it was read; what is
// still on its way.
//
// A message is {id, position, user, at, text}. Among the messages stand notes, {note, at}, of what happened to this
// page's connection.
//
// Events: `change` {kind}, where the kind is `end` (something new), `start` (older messages), `reset` (all is new),
// `marks` (only what is said about it).

import { parsePerson } from './person.js';
import { distance } from './position.js';
import { randomId } from './random.js';

/** Messages that a room in the background keeps. */
const KEPT_BEHIND = 200;

export class Room extends EventTarget {
  name;
  /** Messages and notes, the oldest first. */
  items = [];
  /** The position of the newest message that was received, or null. */
  newest = null;
  /** The position of the newest message that was read, or null. */
  read;
  /** Whether that says anything: not in a room that one has never looked at. */
  isRead;
  /** The cursor that leads to older messages; null as long as no page was asked for. */
  cursor = null;
  /** Whether there are none older than those that are here. */
  isWhole = false;
  /** Whether there were older ones, which are not kept any more. */
  isTrimmed = false;
  /** Messages that are known to have been missed for good. */
  gone = 0;

  #known = new Set();
  /** Messages that came after the one that was read last, and are not kept. */
  #letGo = 0;
  /** The marks of those who have spoken, by their names. */
  #marks = new Map();

  constructor(name, read = null, isRead = false) {
    super();
    this.name = name;
    this.read = read;
    this.isRead = isRead;
  }

  /** The newest message, or null. */
  get last() {
    return this.items.findLast(isMessage) ?? null;
  }

  /** How many messages came after the one that was read last. */
  get unread() {
    if (this.newest === null) return 0;
    return Math.max(0, distance(this.read, this.newest) ?? this.#letGo + this.items.filter(isMessage).length);
  }

  /** Whether another person of this name has spoken, too: the two can be told apart by their marks. */
  hasDouble(user) {
    return (this.#marks.get(parsePerson(user).name)?.size ?? 0) > 1;
  }

  /** Takes what came from the server; false for what was here already. */
  receive(message) {
    const step = distance(this.newest, message.position);
    if (this.newest?.epoch === message.position.epoch && step <= 0) return false;
    if (this.newest !== null && step !== 1) this.#missed(step);
    this.newest = message.position;
    if (this.#has(message)) return false;
    this.#keep(message);
    this.items.push(message);
    this.#changed('end');
    return true;
  }

  /** Takes a page of older messages, the oldest first, and the cursor that leads to the page before. */
  prepend(messages, cursor, isTrimmed) {
    // The first page also has what is here already, and perhaps what is about to come.
    const first = this.items.find(isMessage)?.position;
    const fresh = first ? messages.filter(({ position }) => distance(position, first) > 0) : messages;
    fresh.forEach((message) => this.#keep(message));
    this.items = [...fresh, ...this.items];
    this.#letGo = Math.max(0, this.#letGo - fresh.length);
    if (this.newest === null && fresh.length > 0) this.newest = fresh.at(-1).position;
    this.cursor = cursor;
    this.isWhole = cursor === null;
    this.isTrimmed = isTrimmed;
    this.#changed('start');
  }

  /** Remarks on what happened here. */
  note(note, at = Date.now()) {
    this.items.push({ note, at, id: randomId() });
    this.#changed('end');
  }

  markRead() {
    if (this.isRead && this.newest === null) return;
    this.readUpTo(this.newest);
  }

  /** It was read up to here, or farther: by another tab, or before one came. */
  readUpTo(position) {
    if (this.isRead && this.read?.epoch === position?.epoch && distance(this.read, position) <= 0) return;
    this.isRead = true;
    this.read = position;
    this.#letGo = 0;
    this.#changed('marks');
  }

  /** Lets go of what can be asked for again, as soon as there is more than `most`. */
  trim(most = KEPT_BEHIND) {
    if (this.items.length <= most) return;
    this.#letGo += this.items.slice(0, -KEPT_BEHIND).filter((item) => isMessage(item) && this.#isUnread(item)).length;
    this.items = this.items.slice(-KEPT_BEHIND);
    this.#known = new Set();
    this.#marks = new Map();
    this.items.filter(isMessage).forEach((message) => this.#keep(message));
    this.cursor = null;
    this.isWhole = false;
    this.#changed('reset');
  }

  /** What is here does not reach to what comes: the server has not kept what lies between. */
  #missed(step) {
    this.gone += step > 1 ? step - 1 : 1;
    this.items = [];
    this.#letGo = 0;
    this.#known = new Set();
    this.cursor = null;
    this.isWhole = false;
    this.#changed('reset');
  }

  /** Whether it came after the one that was read last, or nobody knows. */
  #isUnread({ position }) {
    return (distance(this.read, position) ?? 1) > 0;
  }

  /** Whether this was sent before: somebody who had no answer has sent it again. */
  #has({ user, id }) {
    return this.#known.has(`${user} ${id}`);
  }

  #keep({ user, id }) {
    this.#known.add(`${user} ${id}`);
    const { name, mark } = parsePerson(user);
    if (this.#marks.has(name)) this.#marks.get(name).add(mark);
    else this.#marks.set(name, new Set([mark]));
  }

  #changed(kind) {
    this.dispatchEvent(Object.assign(new Event('change'), { kind }));
  }
}

function isMessage(item) {
  return item.note === undefined;
}
