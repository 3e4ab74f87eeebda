// The dialog that asks for one's name, at first and when one wants another.

import { hook } from '../lab/dom.js';
import { onRemembered } from './memory.js';
import { NAME_LIMIT, keepName, nameFault, ownName, tidyName } from './person.js';

export class Entry {
  #speech;
  #entered;
  #dialog = hook('name-dialog');
  #form = hook('name-form');
  #name = hook('name');
  #fault = hook('name-fault');
  #me = hook('me');
  #wrong = null;

  /** `entered` is called with a name that is one. */
  constructor(speech, entered) {
    this.#speech = speech;
    this.#entered = entered;
    this.#name.maxLength = NAME_LIMIT * 2;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#dialog.addEventListener('cancel', (event) => ownName() === null && event.preventDefault());
    hook('name-cancel').addEventListener('click', () => this.#dialog.close());
    this.#me.addEventListener('click', () => this.ask());
    onRemembered('name', () => ownName() !== null && this.#use(ownName()));
    speech.addEventListener('change', () => this.#show());
  }

  /** Enters under the name of last time, or asks for one. */
  start() {
    const name = ownName();
    if (name === null) this.ask();
    else this.#use(name);
  }

  /** Asks for a name; `fault` names the text that says what is wrong with the last. */
  ask(fault = null) {
    this.#wrong = fault;
    this.#name.value = ownName() ?? '';
    this.#show();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#name.select();
  }

  #submit() {
    const name = tidyName(this.#name.value);
    this.#wrong = nameFault(name);
    this.#show();
    if (this.#wrong) {
      this.#name.focus();
      return;
    }
    keepName(name);
    this.#dialog.close();
    this.#use(name);
  }

  #use(name) {
    this.#entered(name);
    this.#show();
  }

  #show() {
    const name = ownName();
    const first = name === null;
    hook('name-title').textContent = this.#speech.say(first ? 'welcome' : 'changeName');
    hook('name-submit').textContent = this.#speech.say(first ? 'enter' : 'rename');
    hook('name-cancel').hidden = first;
    this.#fault.textContent = this.#wrong ? this.#speech.say(...this.#wrong) : '';
    this.#me.hidden = first;
    hook('me-name').textContent = name ?? '';
  }
}
