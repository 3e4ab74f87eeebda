// The rooms that one is in, and the way into others.

import { element, hook } from '../lab/dom.js';
import { MOST_ROOMS } from './chat.js';
import { parsePerson } from './person.js';
import { roomFault, tidyRoom } from './room-names.js';

export class RoomsPanel {
  #chat;
  #speech;
  #list = hook('room-list');
  #dialog = hook('room-dialog');
  #form = hook('room-form');
  #name = hook('room-name');
  #fault = hook('room-fault');
  #others = hook('other-rooms');
  #total = hook('unread-total');
  #entries = new Map();
  #frame = null;
  #shown;

  /** `shown` is called when a room was chosen. */
  constructor(chat, speech, shown) {
    this.#chat = chat;
    this.#speech = speech;
    this.#shown = shown;
    for (const event of ['rooms', 'current']) chat.addEventListener(event, () => this.#schedule());
    chat.addEventListener('catalogue', () => this.#dialog.open && this.#listOthers());
    speech.addEventListener('change', () => this.#schedule());
    hook('room-new').addEventListener('click', () => this.#open());
    hook('room-cancel').addEventListener('click', () => this.#dialog.close());
    this.#name.addEventListener('input', () => this.#listOthers());
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#join(this.#name.value);
    });
    this.#list.addEventListener('keydown', (event) => this.#key(event));
    this.#draw();
  }

  #schedule() {
    this.#frame ??= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = null;
    const rooms = [...this.#chat.rooms.values()];
    for (const [name, entry] of this.#entries) {
      if (this.#chat.rooms.has(name)) continue;
      entry.row.remove();
      this.#entries.delete(name);
    }
    for (const room of rooms) {
      if (!this.#entries.has(room.name)) this.#add(room);
      this.#update(room, rooms.length > 1);
    }
    const total = rooms.reduce((sum, room) => sum + room.unread, 0);
    this.#total.hidden = total === 0;
    this.#total.textContent = total > 0 ? this.#speech.count(total) : '';
    const name = this.#chat.current?.name ?? '';
    document.title = `${total > 0 ? `(${this.#speech.count(total)}) ` : ''}${name} · ${this.#speech.say('title')}`;
  }

  #add(room) {
    const last = element('span', { class: 'room-last' });
    const badge = element('span', { class: 'badge', 'aria-hidden': 'true', 'data-testid': `unread-${room.name}` });
    const label = element('span', { class: 'visually-hidden' });
    const text = element('span', { class: 'room-texts' }, element('bdi', { class: 'room-name' }, room.name), last);
    const show = element('button', { type: 'button', class: 'room-show', 'data-testid': `room-${room.name}` });
    show.append(text, badge, label);
    show.addEventListener('click', () => {
      this.#chat.show(room.name);
      this.#shown();
    });
    const leave = element('button', { type: 'button', class: 'icon-button room-leave' }, '×');
    leave.addEventListener('click', () => this.#leave(room.name));
    const row = element('li', { class: 'room' }, show, leave);
    this.#entries.set(room.name, { row, show, last, badge, label, leave });
    this.#list.append(row);
  }

  #update(room, canLeave) {
    const { show, last, badge, label, leave } = this.#entries.get(room.name);
    const isCurrent = room === this.#chat.current;
    if (isCurrent) show.setAttribute('aria-current', 'true');
    else show.removeAttribute('aria-current');
    const message = room.last;
    setText(
      last,
      message ? `${parsePerson(message.user).name}: ${message.text}`.slice(0, 80) : this.#speech.say('noMessages'),
    );
    const unread = room.unread;
    badge.hidden = unread === 0;
    setText(badge, unread > 999 ? `${this.#speech.count(999)}+` : this.#speech.count(unread));
    setText(label, unread > 0 ? this.#speech.say('unread', this.#speech.count(unread)) : '');
    leave.hidden = !canLeave;
    leave.setAttribute('aria-label', this.#speech.say('leaveRoom', room.name));
    leave.title = this.#speech.say('leaveRoom', room.name);
  }

  #leave(name) {
    this.#chat.leave(name);
    this.#draw();
    this.#entries.get(this.#chat.current.name).show.focus();
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = [...this.#entries.values()].map(({ show }) => show);
    const at = buttons.indexOf(document.activeElement);
    buttons[(at + step + buttons.length) % buttons.length].focus();
  }

  #open() {
    this.#name.value = '';
    this.#fault.textContent = '';
    this.#listOthers();
    this.#dialog.showModal();
  }

  #listOthers() {
    const wanted = tidyRoom(this.#name.value);
    const others = [...this.#chat.catalogue].filter((name) => !this.#chat.rooms.has(name) && name.includes(wanted));
    const buttons = others.slice(0, MOST_LISTED).map((name) => {
      const button = element('button', { type: 'button', class: 'button button-small' }, element('bdi', {}, name));
      button.addEventListener('click', () => this.#join(name));
      return element('li', {}, button);
    });
    this.#others.replaceChildren(...buttons);
    hook('other-rooms-box').hidden = buttons.length === 0;
  }

  #join(text) {
    const name = tidyRoom(text);
    const fault = roomFault(name) ?? (this.#chat.show(name) ? null : ['tooManyRooms', MOST_ROOMS]);
    this.#fault.textContent = fault ? this.#speech.say(...fault) : '';
    if (fault) {
      this.#name.focus();
      return;
    }
    this.#dialog.close();
    this.#shown();
  }
}

/** Rooms that the dialog lists. */
const MOST_LISTED = 40;

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
