// The room that is shown: its messages, what is on its way, and the field for the next one.

import { element, hook } from '../lab/dom.js';
import { Composer } from './composer.js';
import { MessageList } from './message-list.js';
import { messageRow, noteRow, surroundings } from './message-row.js';
import { backText, movedText } from './notes.js';
import { distance } from './position.js';

/** Rows that gather while one follows the end, before the older ones go. */
const MOST_FOLLOWED = 5_000;

export class Conversation {
  #chat;
  #speech;
  #title = hook('room-title');
  #scroller = hook('messages');
  #older = hook('older');
  #toEnd = hook('to-end');
  #toEndCount = hook('to-end-count');
  #list;
  #composer;
  #room = null;
  #letters = [];
  /** Rows before the first of the room's. */
  #offset = 0;
  /** What was read when the room was shown: the line that says what is new stands behind it. */
  #line = null;
  #below = 0;
  #olderFailed = false;
  #stopListening = () => {};

  constructor(chat, speech) {
    this.#chat = chat;
    this.#speech = speech;
    this.#list = new MessageList(this.#scroller, hook('message-list'), {
      count: () => this.#count(),
      key: (index) => this.#key(index),
      row: (index) => this.#row(index),
    });
    this.#composer = new Composer(chat, speech, () => this.#list.scrollToEnd());
    this.#list.addEventListener('start', () => this.#loadOlder());
    this.#list.addEventListener('scroll', () => this.#scrolled());
    this.#toEnd.addEventListener('click', () => this.#list.scrollToEnd());
    hook('older-again').addEventListener('click', () => {
      this.#olderFailed = false;
      this.#loadOlder();
    });
    chat.addEventListener('current', () => this.#show());
    chat.addEventListener('state', () => this.#stateChanged());
    chat.outbox.addEventListener('change', ({ room }) => room === this.#room?.name && this.#changedAtEnd());
    speech.addEventListener('change', () => this.#redraw());
    document.addEventListener('visibilitychange', () => this.#visibilityChanged());
    this.#show();
  }

  focus() {
    this.#composer.focus();
  }

  #show() {
    this.#stopListening();
    this.#room = this.#chat.current;
    this.#line = this.#room.unread > 0 ? this.#room.read : null;
    this.#below = 0;
    this.#olderFailed = false;
    const changed = ({ kind }) => this.#changed(kind);
    const room = this.#room;
    room.addEventListener('change', changed);
    this.#stopListening = () => room.removeEventListener('change', changed);
    this.#label();
    this.#composer.show(room.name);
    this.#collect();
    this.#list.reset();
    this.#markRead();
    this.#loadOlder();
  }

  #label() {
    this.#title.textContent = this.#room.name;
    this.#scroller.setAttribute('aria-label', this.#speech.say('messagesIn', this.#room.name));
  }

  #changed(kind) {
    if (kind === 'start') {
      this.#collect();
      this.#list.grewAtStart();
    } else if (kind === 'reset') {
      this.#collect();
      this.#list.reset();
      this.#loadOlder();
    } else if (kind === 'end') {
      if (!this.#list.isAtEnd) this.#below += 1;
      this.#changedAtEnd();
      if (this.#list.isAtEnd) this.#room.trim(MOST_FOLLOWED);
    }
    if (kind !== 'marks') this.#markRead();
    this.#showToEnd();
  }

  #changedAtEnd() {
    this.#collect();
    this.#list.changedAtEnd();
  }

  #redraw() {
    this.#label();
    this.#collect();
    this.#list.redraw();
    this.#showToEnd();
  }

  #stateChanged() {
    this.#composer.showState();
    this.#changedAtEnd();
    if (!this.#chat.link.isOpen) return;
    this.#olderFailed = false;
    this.#loadOlder();
  }

  /** How many rows there are now: the beginning, what is here, what is on its way. */
  #count() {
    return this.#offset + this.#room.items.length + this.#letters.length;
  }

  /** What stands in a row; nothing in that of the beginning. */
  #item(index) {
    const at = index - this.#offset;
    const { items } = this.#room;
    return at < items.length ? items[at] : this.#letters[at - items.length];
  }

  /** How a row looks beside what it says. Asked for what is seen alone: rows are many. */
  #looks(index) {
    const [item, before] = [this.#item(index), this.#item(index - 1)];
    const looks = surroundings(item, before, this.#isFirstUnread(item, before));
    const tellApart = item.note === undefined && this.#room.hasDouble(item.user);
    const state = item.letter ? this.#letterState(item.letter) : null;
    return { ...looks, tellApart, state };
  }

  #key(index) {
    if (index < this.#offset) return `beginning ${this.#room.isTrimmed}`;
    const { day, unread, head, tellApart, state } = this.#looks(index);
    const flags = [day, unread, head, tellApart].map(Number).join('');
    const item = this.#item(index);
    return `${item.position?.text ?? item.id} ${flags} ${state?.kind ?? ''}`;
  }

  #isFirstUnread(item, before) {
    if (this.#line === null || item.position === undefined) return false;
    const isNew = (other) => (distance(this.#line, other?.position) ?? 0) > 0;
    return isNew(item) && !isNew(before);
  }

  /** Looks again at what is on its way, and at whether this is all there is. */
  #collect() {
    this.#letters = this.#chat.outbox.of(this.#room.name).map((letter) => this.#letterItem(letter));
    this.#offset = this.#room.isWhole ? 1 : 0;
  }

  #letterItem(letter) {
    const user = `${this.#chat.name}#${this.#chat.mark ?? ''}`;
    return { id: letter.id, user, at: letter.at, text: letter.text, letter };
  }

  #letterState({ id, fault }) {
    if (fault !== null)
      return { kind: 'refused', text: this.#speech.say(`refused.${fault}`), action: [' ', this.#discardButton(id)] };
    if (!this.#chat.link.isOpen) return { kind: 'waiting', text: this.#speech.say('waiting') };
    return { kind: 'pending', text: this.#speech.say('pending') };
  }

  #discardButton(id) {
    const button = element('button', { class: 'button button-small', type: 'button' }, this.#speech.say('discard'));
    button.addEventListener('click', () => this.#chat.outbox.discard(id));
    return button;
  }

  #row(index) {
    if (index < this.#offset) return this.#beginningRow();
    const [item, looks] = [this.#item(index), this.#looks(index)];
    if (item.note !== undefined) {
      const lines = [backText(item.note, this.#speech), movedText(item.note, this.#speech, this.#chat.whereabouts)];
      const shown = lines.filter((line) => line !== null);
      return noteRow(item, looks, shown, this.#speech);
    }
    const own = item.letter !== undefined || this.#chat.isOwn(item.user);
    return messageRow(item, { ...looks, own }, this.#speech);
  }

  #beginningRow() {
    const text = this.#room.isTrimmed
      ? this.#speech.say('beginningKept')
      : this.#speech.say('beginning', this.#room.name);
    return element('li', { class: 'note' }, element('p', { class: 'note-text', 'data-testid': 'beginning' }, text));
  }

  async #loadOlder() {
    const room = this.#room;
    if (this.#olderFailed || room.isWhole || this.#chat.isLoading(room)) return;
    try {
      const loading = this.#chat.loadOlder(room);
      this.#showOlder();
      // All of the page may have been here already, and one may stand at the very start.
      if ((await loading) && room === this.#room) this.#list.look();
    } catch {
      if (room === this.#room) this.#olderFailed = this.#chat.link.isOpen;
    }
    if (room === this.#room) this.#showOlder();
  }

  #showOlder() {
    const loading = this.#chat.isLoading(this.#room);
    this.#older.hidden = !loading && !this.#olderFailed;
    hook('older-text').textContent = this.#speech.say(this.#olderFailed ? 'olderFailed' : 'loadingOlder');
    hook('older-again').hidden = !this.#olderFailed;
  }

  #scrolled() {
    this.#markRead();
    this.#showToEnd();
  }

  #showToEnd() {
    if (this.#list.isAtEnd) this.#below = 0;
    this.#toEnd.hidden = this.#list.isAtEnd;
    this.#toEndCount.textContent =
      this.#below > 0 ? this.#speech.say('newBelow', this.#below) : this.#speech.say('toEnd');
    this.#toEnd.dataset.new = this.#below > 0;
  }

  #markRead() {
    if (!document.hidden && this.#list.isAtEnd) this.#room.markRead();
  }

  #visibilityChanged() {
    if (document.hidden) this.#line = this.#room.newest;
    else this.#markRead();
  }
}
