// The field for the next message; each room keeps what was begun in it.

import { hook } from '../lab/dom.js';

const TEXT_LIMIT = 2_000;
const LINES = 8;

export class Composer {
  #chat;
  #speech;
  #sent;
  #form = hook('composer');
  #text = hook('message-text');
  #send = hook('message-send');
  #over = hook('message-over');
  #room = null;
  #drafts = new Map();

  /** `sent` is called when a message was handed over. */
  constructor(chat, speech, sent) {
    this.#chat = chat;
    this.#speech = speech;
    this.#sent = sent;
    this.#text.addEventListener('input', () => this.#changed());
    this.#text.addEventListener('keydown', (event) => this.#key(event));
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#say();
    });
    speech.addEventListener('change', () => this.#label());
  }

  show(room) {
    if (this.#room !== null) this.#drafts.set(this.#room, this.#text.value);
    this.#room = room;
    this.#text.value = this.#drafts.get(room) ?? '';
    this.#label();
    this.#changed();
  }

  showState() {
    this.#form.dataset.state = this.#chat.link.state;
  }

  focus() {
    this.#text.focus();
  }

  #label() {
    const label = this.#speech.say('write', this.#room);
    this.#text.setAttribute('aria-label', label);
    this.#text.placeholder = label;
  }

  #key(event) {
    // The Enter that ends the composing of a syllable is none of ours.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#say();
  }

  #say() {
    const text = this.#text.value.trim();
    if (text === '' || this.#excess() > 0) return;
    if (this.#chat.outbox.isFull) {
      this.#over.hidden = false;
      this.#over.textContent = this.#speech.say('outboxFull');
      return;
    }
    this.#chat.say(text);
    this.#text.value = '';
    this.#changed();
    this.#text.focus();
    this.#sent();
  }

  #changed() {
    this.#text.rows = Math.min(LINES, this.#text.value.split('\n').length);
    const excess = this.#excess();
    this.#over.hidden = excess <= 0;
    this.#over.textContent = excess > 0 ? this.#speech.say('textLong', this.#speech.count(excess)) : '';
    this.#send.disabled = this.#text.value.trim() === '' || excess > 0;
  }

  /** Characters that are too many. */
  #excess() {
    const { length } = this.#text.value;
    return length <= TEXT_LIMIT ? 0 : [...this.#text.value.trim()].length - TEXT_LIMIT;
  }
}
