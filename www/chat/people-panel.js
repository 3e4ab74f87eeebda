// Who is in the room that is shown.

import { element, hook } from '../lab/dom.js';
import { avatar } from './avatar.js';
import { shortMark } from './person.js';

/** People that are listed; the others are counted. */
const MOST_LISTED = 100;

export class PeoplePanel {
  #chat;
  #speech;
  #list = hook('people-list');
  #others = hook('people-others');
  #frame = null;

  constructor(chat, speech) {
    this.#chat = chat;
    this.#speech = speech;
    for (const event of ['people', 'state']) chat.addEventListener(event, () => this.#schedule());
    speech.addEventListener('change', () => this.#schedule());
    this.#draw();
  }

  /** Many may come and go at once. */
  #schedule() {
    this.#frame ??= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = null;
    const { people } = this.#chat;
    const listed = people.all.slice(0, MOST_LISTED);
    const rows = listed.map((person) => this.#row(person, listed));
    this.#list.replaceChildren(...rows);
    const others = people.count - listed.length;
    this.#others.hidden = others <= 0;
    this.#others.textContent = others > 0 ? this.#speech.say('peopleOthers', this.#speech.count(others)) : '';
    const text = this.#speech.say('peopleCount', people.count);
    hook('people-count').textContent = this.#speech.count(people.count);
    hook('people-short').textContent = this.#speech.count(people.count);
    hook('open-people').setAttribute('aria-label', `${this.#speech.say('openPeople')}: ${text}`);
  }

  #row(person, all) {
    const isDouble = all.some(({ name, mark }) => name === person.name && mark !== person.mark);
    const mark = isDouble ? [element('span', { class: 'message-mark' }, ` ${shortMark(person)}`)] : [];
    const you = this.#chat.isOwn(person.user) ? [element('span', { class: 'you' }, this.#speech.say('you'))] : [];
    const name = element('span', { class: 'person-name' }, element('bdi', {}, person.name), ...mark);
    return element('li', { class: 'person' }, avatar(person), name, ...you);
  }
}
