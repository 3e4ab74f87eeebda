// The room: people on different tabs, each over a transport of their own, talk to each other.

import { describeClose } from './close-codes.js';
import { element, hook, isAtEnd, scrollToEnd } from './dom.js';
import { formatMs } from './numbers.js';
import { NAME_LIMIT, TEXT_LIMIT, decodeRoomMessage, encodeRoomMessage } from './room-messages.js';
import { SteadyConnection } from './steady-connection.js';

const MOST_LINES = 200;
const LEAVE_LIMIT_MS = 1_500;

export class Room {
  #url;
  #joinForm = hook('room-join-form');
  #sayForm = hook('room-say-form');
  #joinButton = hook('room-join');
  #name = hook('room-name');
  #text = hook('room-text');
  #transport = hook('room-transport');
  #fields = hook('room-say-fields');
  #status = hook('room-state');
  #log = hook('room-log');
  #steady = null;
  #self = null;
  #leaving = null;

  constructor(url) {
    this.#url = url;
    this.#name.maxLength = NAME_LIMIT;
    this.#text.maxLength = TEXT_LIMIT;
    this.#joinForm.addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.#steady) this.#leave();
      else this.#join();
    });
    this.#sayForm.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#say();
    });
  }

  stop() {
    this.#steady?.stop();
  }

  #join() {
    const name = this.#name.value.trim();
    if (name === '') {
      this.#show('outside', 'A name is needed to join.');
      this.#name.focus();
      return;
    }
    this.#self = { from: crypto.getRandomValues(new Uint32Array(4)).join('-'), name };
    this.#name.readOnly = true;
    this.#transport.disabled = true;
    this.#joinButton.textContent = 'Leave';
    this.#show('joining', 'Joining…');
    const handlers = {
      onOpen: () => this.#entered(),
      onMessage: (wire) => this.#received(wire),
      onClose: () => {
        this.#fields.disabled = true;
      },
      onWaiting: ({ close, pause }) =>
        this.#show('waiting', `${describeClose(close)} Joining again in ${formatMs(pause)}.`),
      onEnded: (close) => this.#left(close),
    };
    this.#steady = new SteadyConnection(this.#url, this.#transport.value, handlers, () => true);
  }

  #entered() {
    this.#fields.disabled = false;
    this.#show('joined', `In the room as ${this.#self.name}, over ${this.#steady.connection.transport}.`);
    this.#send('join');
    if (document.activeElement === this.#joinButton || document.activeElement === this.#name) this.#text.focus();
  }

  #say() {
    const text = this.#text.value.trim();
    if (text === '' || !this.#steady?.isOpen) return;
    this.#send('say', text);
    this.#text.value = '';
    this.#text.focus();
  }

  /** Says goodbye and waits, for a bounded time, until the goodbye has come back: then it has been sent. */
  #leave() {
    if (this.#leaving !== null) return;
    if (!this.#steady.isOpen) {
      this.#steady.stop();
      return;
    }
    this.#send('leave');
    this.#leaving = setTimeout(() => this.#steady?.stop(), LEAVE_LIMIT_MS);
  }

  #left(close) {
    clearTimeout(this.#leaving);
    if (this.#fields.contains(document.activeElement)) this.#joinButton.focus();
    this.#leaving = null;
    this.#steady = null;
    this.#fields.disabled = true;
    this.#name.readOnly = false;
    this.#transport.disabled = false;
    this.#joinButton.textContent = 'Join';
    this.#show(
      'outside',
      close.code === 1000 ? 'You have left the room.' : `Outside the room. ${describeClose(close)}`,
    );
  }

  #send(kind, text) {
    this.#steady.send(encodeRoomMessage({ kind, ...this.#self, via: this.#steady.connection.transport ?? '', text }));
  }

  #received(wire) {
    const message = decodeRoomMessage(wire);
    if (message === null) return;
    const own = message.from === this.#self.from;
    this.#append(message, own);
    if (own && message.kind === 'leave') this.#steady.stop();
  }

  #append({ kind, name, via, text }, own) {
    const follow = isAtEnd(this.#log);
    const line = element('div', { class: 'room-line', 'data-kind': kind, 'data-own': own });
    const who = element('span', { class: 'room-who' }, name);
    const how = element('span', { class: 'room-via' }, via);
    if (kind === 'say')
      line.append(element('span', { class: 'room-head' }, who, how), element('span', { class: 'room-words' }, text));
    else line.append(who, kind === 'join' ? ' came in over ' : ' left; was on ', how);
    this.#log.append(line);
    while (this.#log.childElementCount > MOST_LINES) this.#log.firstElementChild.remove();
    if (follow) scrollToEnd(this.#log);
  }

  #show(state, sentence) {
    this.#status.dataset.state = state;
    this.#status.textContent = sentence;
  }
}
