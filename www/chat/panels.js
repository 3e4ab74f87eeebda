// Where there is room for one thing at a time, as on a phone: which of the three it is.

import { hook } from '../lab/dom.js';

export class Panels {
  #body = document.body;
  #opener = null;

  constructor(names) {
    for (const name of names) {
      hook(`open-${name}`).addEventListener('click', (event) => this.#open(name, event.currentTarget));
      hook(`close-${name}`).addEventListener('click', () => this.close());
    }
    document.addEventListener('keydown', ({ key }) => key === 'Escape' && this.close());
  }

  /** Back to the conversation. */
  close() {
    if (this.#body.dataset.panel === 'none') return;
    this.#body.dataset.panel = 'none';
    this.#opener?.focus();
    this.#opener = null;
  }

  #open(name, opener) {
    this.#body.dataset.panel = name;
    this.#opener = opener;
    hook(`close-${name}`).focus();
  }
}
