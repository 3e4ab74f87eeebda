// Says to those who listen instead of looking what others write in the room that is shown, and not more than one can
// hear.

import { hook } from '../lab/dom.js';
import { parsePerson } from './person.js';

const GATHER_MS = 800;
const MOST = 3;

export class Announcer {
  #chat;
  #speech;
  #region = hook('announcer');
  #waiting = [];
  #timer = null;

  constructor(chat, speech) {
    this.#chat = chat;
    this.#speech = speech;
    chat.addEventListener('message', ({ room, message }) => this.#hear(room, message));
  }

  #hear(room, message) {
    if (room !== this.#chat.current || this.#chat.isOwn(message.user)) return;
    this.#waiting.push(message);
    this.#timer ??= setTimeout(() => this.#say(), GATHER_MS);
  }

  #say() {
    this.#timer = null;
    const messages = this.#waiting.splice(0);
    const texts =
      messages.length > MOST
        ? [this.#speech.say('announceMany', messages.length)]
        : messages.map(({ user, text }) => this.#speech.say('announceOne', parsePerson(user).name, text));
    this.#region.replaceChildren(
      ...texts.map((text) => Object.assign(document.createElement('p'), { textContent: text })),
    );
  }
}
