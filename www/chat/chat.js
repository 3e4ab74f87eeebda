// The chat without its looks: rooms, what comes and goes, and what a loss of the connection has cost.
//
// Events: `rooms` (which there are, or their marks), `current` (another room is shown), `people` (who is there),
// `state`, `catalogue`, `back` {note}, `message` {room, message}, `notice` {text}, `nameRefused`.

import { Absence } from './absence.js';
import { Link } from './link.js';
import { onRemembered, recall, remember } from './memory.js';
import { Outbox } from './outbox.js';
import { ownSecret, parsePerson } from './person.js';
import { People } from './people.js';
import { parsePosition } from './position.js';
import { Replies } from './replies.js';
import { Room } from './room.js';
import { LOBBY, roomFault, tidyRoom } from './room-names.js';
import { Whereabouts } from './whereabouts.js';

export const MOST_ROOMS = 50;
const PAGE = 100;
/** Messages that are shown where the place of one's last is not kept any more. */
const NEWEST = 50;

/** Later times are none. */
const LATEST = 8e15;

const MARKS_MS = 250;
/** Messages that gather in a room that is not shown before the older ones go. */
const MOST_BEHIND = 400;

const topicOf = (room) => `/topic/chat.${room}`;

export class Chat extends EventTarget {
  link;
  outbox = new Outbox();
  whereabouts;
  /** The rooms that one is in, by their names. */
  rooms = new Map();
  /** The names of all rooms that the server lists. */
  catalogue = new Set();
  /** The room that is shown. */
  current = null;
  /** Who is in that room. */
  people = new People();
  /** One's own mark, once the server has said it. */
  mark = null;
  /** Of this visit: how often one came back, when one was connected last, and how many messages were missed for good. */
  returns = 0;
  since = null;
  gone = 0;

  /** The code of the last loss, or null. */
  loss = null;

  #name = null;
  #transport;
  /** The transport that was in use last. */
  #over = null;
  #absence = null;
  #subscriptions = new Map();
  /** The subscription to who is in the room that is shown. */
  #watching = null;
  #listed = null;
  /** What was read and is not written down yet. */
  #marks = new Map();
  #marksTimer = null;
  #replies = new Replies((reply) => this.#told(reply));
  #loading = new Set();

  constructor({ url, SockJS, StompJs, transport }) {
    super();
    this.#transport = transport;
    this.link = new Link({ url, SockJS, StompJs });
    this.whereabouts = new Whereabouts(url);
    this.link.addEventListener('open', ({ user }) => this.#opened(user));
    this.link.addEventListener('lost', (event) => this.#lost(event));
    this.link.addEventListener('refused', (event) => this.#refused(event));
    this.link.addEventListener('state', () => this.#tell('state'));
    const names = recall('rooms');
    const known = Array.isArray(names) ? names.filter((name) => roomFault(name) === null).slice(0, MOST_ROOMS) : [];
    for (const name of known.length > 0 ? known : [LOBBY]) this.#add(name);
    this.current = this.rooms.values().next().value;
    addEventListener('pagehide', () => this.#writeMarks());
    onRemembered('rooms', (list) => this.#roomsElsewhere(list ?? []));
    onRemembered('read', (marks) => this.#readElsewhere(marks ?? {}));
  }

  get name() {
    return this.#name;
  }

  get transport() {
    return this.#transport;
  }

  /** Connects under a name, or goes on under another. */
  enter(name) {
    this.#name = name;
    this.#start();
  }

  /** Goes on over another transport. */
  chooseTransport(transport) {
    this.#transport = transport;
    if (this.#name !== null) this.#start();
  }

  /** Shows a room; joins it first where one is not in it. False if there may be no more of them. */
  show(text) {
    const name = tidyRoom(text);
    if (!this.rooms.has(name)) {
      if (this.rooms.size >= MOST_ROOMS) return false;
      this.#add(name);
      this.#keepRooms();
      if (this.link.isOpen) this.#follow(this.rooms.get(name));
    }
    const room = this.rooms.get(name);
    if (this.current !== room) {
      this.current?.trim();
      this.current = room;
      this.#watchPeople();
      this.#tell('current');
    }
    this.#list(room);
    return true;
  }

  leave(name) {
    if (this.rooms.size < 2 || !this.rooms.has(name)) return;
    this.#remove(name);
    this.#keepRooms();
    if (this.current.name === name) this.show(this.rooms.keys().next().value);
    this.#tell('rooms');
  }

  say(text) {
    const letter = this.outbox.add(this.current.name, text);
    if (this.link.isOpen) this.#post(letter);
  }

  isOwn(user) {
    return parsePerson(user).mark === this.mark;
  }

  /** Asks for messages older than those that are here; whether it did. Rejects when they cannot be had now. */
  async loadOlder(room) {
    if (room.isWhole || this.#loading.has(room) || !this.link.isOpen) return false;
    this.#loading.add(room);
    try {
      const { cursor } = room;
      const page = await this.#ask(`rooms/${room.name}/history`, { before: cursor, limit: PAGE });
      // What was here may have been let go meanwhile.
      if (room.cursor !== cursor) return true;
      const messages = page.messages.map(({ position, body }) => readMessage({ position, ...parseBody(body) }));
      room.prepend(messages, page.before, page.truncated);
      messages.forEach((message) => this.#arrived(message));
      return true;
    } finally {
      this.#loading.delete(room);
    }
  }

  isLoading(room) {
    return this.#loading.has(room);
  }

  #start() {
    this.link.start({ login: this.#name, passcode: ownSecret(), transport: this.#transport });
  }

  async #opened(user) {
    this.since = Date.now();
    this.mark = parsePerson(user).mark;
    this.#over = this.link.transport;
    this.#absence?.end();
    this.link.subscribe('/user/queue/chat', {}, ({ body }) => this.#replies.take(body));
    const hello = this.#ask('hello', { rooms: [...this.rooms.keys()] });
    const list = this.#listed ? { after: this.#listed, history: '1000' } : { history: '1000' };
    this.link.subscribe('/topic/chat-rooms', list, (frame) => this.#roomListed(frame));
    for (const room of this.rooms.values()) this.#follow(room);
    this.#watchPeople();
    this.outbox.open.forEach((letter) => this.#post(letter));
    try {
      this.#greeted(await hello);
    } catch {
      // Lost again before the answer: another one is asked for after the next loss.
    }
  }

  #greeted({ node, newest }) {
    this.whereabouts.told(node);
    const positions = new Map(Object.entries(newest).map(([room, at]) => [room, parsePosition(at)]));
    this.#absence?.expect(positions);
    // What was said before one came for the first time is nothing that one has missed.
    for (const room of this.rooms.values()) if (!room.isRead) room.readUpTo(positions.get(room.name) ?? null);
    this.#settle();
    this.#list(this.current);
    this.#tell('state');
  }

  #lost({ code }) {
    this.#subscriptions.clear();
    this.#watching = null;
    this.#replies.giveUp();
    this.loss = code;
    const from = { transport: this.#over, node: this.whereabouts.node };
    if (this.#absence === null) this.#absence = new Absence([...this.rooms.values()], from);
    else this.#absence.goesOn();
  }

  /** Everything that came meanwhile is here. */
  #settle() {
    const outcome = this.#absence?.outcome();
    if (!outcome) return;
    const { from } = this.#absence;
    this.#absence = null;
    this.returns += 1;
    this.gone += outcome.gone;
    const to = { transport: this.link.transport, node: this.whereabouts.node };
    const note = { ...outcome, from, to };
    this.current?.note(note);
    this.dispatchEvent(Object.assign(new Event('back'), { note }));
  }

  #refused({ message, detail }) {
    if (message === 'authentication failed') {
      this.link.stop();
      this.#tell('nameRefused');
    } else if (this.link.isOpen) {
      this.dispatchEvent(Object.assign(new Event('notice'), { text: detail || message }));
    }
    // Whatever else keeps one from connecting may pass: the link tries again.
  }

  #follow(room) {
    if (this.#subscriptions.has(room)) return;
    const from = room.newest ? { after: room.newest.text, history: String(NEWEST) } : { history: '1' };
    const subscription = this.link.subscribe(topicOf(room.name), from, (frame) => this.#came(room, frame));
    this.#subscriptions.set(room, subscription);
  }

  /** Is told who is in the room that is shown, and in no other. */
  #watchPeople() {
    this.#watching?.unsubscribe();
    this.#watching = null;
    const people = new People();
    this.people = people;
    this.#tell('people');
    if (!this.link.isOpen) return;
    this.#watching = this.link.subscribe(`/presence${topicOf(this.current.name)}`, {}, ({ body }) => {
      if (this.people !== people) return;
      people.take(JSON.parse(body));
      this.#tell('people');
    });
  }

  #came(room, { headers, body }) {
    const message = readMessage({ position: headers['message-id'], ...parseBody(body) });
    const wasRead = room.unread === 0;
    const isNew = room.receive(message);
    if (wasRead && this.isOwn(message.user)) room.markRead();
    this.#arrived(message);
    if (!isNew) return;
    // What nobody looks at can be asked for again.
    if (room !== this.current) room.trim(MOST_BEHIND);
    this.dispatchEvent(Object.assign(new Event('message'), { room, message }));
    this.#settle();
  }

  /** What one has said oneself is not on its way any more. */
  #arrived({ user, id }) {
    if (this.isOwn(user)) this.outbox.arrived(id);
  }

  #roomListed({ headers, body }) {
    this.#listed = headers['message-id'];
    if (roomFault(body) !== null || this.catalogue.has(body)) return;
    this.catalogue.add(body);
    this.#tell('catalogue');
  }

  /** Has the server list a room that it does not list yet. */
  #list(room) {
    if (this.link.isOpen && !this.catalogue.has(room.name)) this.link.send('/app/chat/rooms', room.name);
  }

  #post({ id, room, text }) {
    this.link.send(`/app/chat/rooms/${room}/say`, text, { id, 'content-type': 'text/plain;charset=utf-8' });
  }

  #ask(what, question) {
    const { request, answer } = this.#replies.expect();
    this.link.send(`/app/chat/${what}`, JSON.stringify({ request, ...question }));
    return answer;
  }

  /** What the server says without having been asked. */
  #told({ refused, why }) {
    if (refused) this.outbox.refused(refused, why);
  }

  #add(name) {
    const mark = recall('read')?.[name];
    const room = new Room(name, parsePosition(mark), mark !== undefined);
    room.addEventListener('change', ({ kind }) => {
      if (kind === 'marks') this.#keepMark(room);
      if (kind !== 'start') this.#tell('rooms');
    });
    this.rooms.set(name, room);
    this.#tell('rooms');
  }

  /** Writes down what was read a little later: many messages may come at once. */
  #keepMark(room) {
    this.#marks.set(room.name, room.read?.text ?? '');
    this.#marksTimer ??= setTimeout(() => this.#writeMarks(), MARKS_MS);
  }

  #writeMarks() {
    clearTimeout(this.#marksTimer);
    this.#marksTimer = null;
    const marks = { ...recall('read'), ...Object.fromEntries(this.#marks) };
    const ofRooms = Object.entries(marks).filter(([name]) => this.rooms.has(name));
    if (this.#marks.size > 0) remember('read', Object.fromEntries(ofRooms));
    this.#marks.clear();
  }

  #remove(name) {
    const room = this.rooms.get(name);
    this.rooms.delete(name);
    this.#subscriptions.get(room)?.unsubscribe();
    this.#subscriptions.delete(room);
    this.outbox.left(name);
  }

  #keepRooms() {
    remember('rooms', [...this.rooms.keys()]);
  }

  #roomsElsewhere(names) {
    for (const name of names.filter((name) => roomFault(name) === null && !this.rooms.has(name))) {
      if (this.rooms.size >= MOST_ROOMS) break;
      this.#add(name);
      if (this.link.isOpen) this.#follow(this.rooms.get(name));
    }
    const gone = [...this.rooms.keys()].filter((name) => !names.includes(name) && name !== this.current.name);
    gone.forEach((name) => this.#remove(name));
    this.#tell('rooms');
  }

  #readElsewhere(marks) {
    for (const [name, room] of this.rooms) {
      const position = parsePosition(marks[name]);
      if (position) room.readUpTo(position);
    }
  }

  #tell(type) {
    this.dispatchEvent(new Event(type));
  }
}

function parseBody(body) {
  try {
    const { id, user, at, text } = JSON.parse(body);
    if ([id, user, text].every((part) => typeof part === 'string')) return { id, user, at, text };
  } catch {
    // None of the chat's own: somebody with other rights has published it.
  }
  return { id: '', user: '?', at: Date.now(), text: body };
}

function readMessage({ position, id, user, at, text }) {
  return {
    position: parsePosition(position),
    id: id === '' ? position : id,
    user,
    at: Math.abs(at) < LATEST ? Number(at) : Date.now(),
    text,
  };
}
