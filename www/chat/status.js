// How one is connected, and what a loss has cost.

import { element, hook } from '../lab/dom.js';
import { AUTOMATIC, TRANSPORTS, fetchInfo, unavailableBecause } from '../lab/transports.js';
import { backText, movedText, nodeText, placeParts } from './notes.js';

const GOING_AWAY = 4505;
const SHOWN_MS = 15_000;

export class Status {
  #chat;
  #speech;
  #pill = hook('state');
  #pillText = hook('state-text');
  #details = hook('connection');
  #banner = hook('banner');
  #select = hook('transport');
  #timer = null;
  #said = null;

  constructor(chat, speech, url) {
    this.#chat = chat;
    this.#speech = speech;
    const options = [AUTOMATIC, ...TRANSPORTS.map(({ name }) => name)];
    this.#select.replaceChildren(...options.map((value) => element('option', { value }, value)));
    this.#select.value = chat.transport;
    this.#select.addEventListener('change', () => chat.chooseTransport(this.#select.value));
    chat.addEventListener('state', () => this.#stateChanged());
    chat.addEventListener('back', ({ note }) => this.#say(() => backTexts(note, speech, chat.whereabouts), 'good'));
    chat.addEventListener('notice', ({ text }) => this.#say(() => speech.say('refusedByServer', text), 'bad'));
    chat.whereabouts.addEventListener('change', () => this.#show());
    speech.addEventListener('change', () => this.#show());
    for (const event of ['online', 'offline']) addEventListener(event, () => this.#stateChanged());
    document.addEventListener('click', ({ target }) => {
      if (!this.#details.contains(target)) this.#details.open = false;
    });
    this.#details.addEventListener('keydown', ({ key }) => this.#key(key));
    this.#markUnavailable(url);
    this.#show();
  }

  #key(key) {
    if (key !== 'Escape' || !this.#details.open) return;
    this.#details.open = false;
    this.#pill.focus();
  }

  #stateChanged() {
    const { state } = this.#chat.link;
    if (state === 'waiting') this.#say(() => this.#speech.say(this.#lossText()), 'bad', Infinity);
    this.#show();
  }

  #lossText() {
    if (!navigator.onLine) return 'offline';
    return this.#chat.loss === GOING_AWAY ? 'lostDrain' : 'lost';
  }

  /** Says something for a while; it is asked for again when the language changes. */
  #say(text, tone, ms = SHOWN_MS) {
    clearTimeout(this.#timer);
    this.#said = { text, tone };
    if (ms !== Infinity) {
      this.#timer = setTimeout(() => {
        this.#said = null;
        this.#show();
      }, ms);
    }
    this.#show();
  }

  #show() {
    const { link, whereabouts } = this.#chat;
    const { state } = link;
    this.#pill.dataset.state = state;
    const place = { transport: link.transport, node: whereabouts.node };
    const [first, ...others] = link.isOpen
      ? placeParts(place, this.#speech, whereabouts)
      : [this.#speech.say(`state.${state}`)];
    // On a phone the room's name needs the place.
    const rest = others.map((part) => element('span', { class: 'wide-only' }, ` · ${part}`));
    this.#pillText.replaceChildren(first, ...rest);
    hook('state-now').textContent = this.#speech.say(`state.${state}`);
    hook('transport-now').textContent = link.transport ?? '–';
    hook('node-now').textContent = this.#nodeText();
    const { since, returns, gone } = this.#chat;
    hook('since').textContent = link.isOpen && since ? this.#speech.time(since) : '–';
    hook('returns').textContent = this.#speech.say('reconnectsCount', returns);
    hook('gone').textContent = this.#speech.count(gone);
    this.#select.options[0].textContent = this.#speech.say('automatic');
    this.#banner.dataset.tone = this.#said?.tone ?? '';
    const text = this.#said?.text() ?? '';
    if (this.#banner.textContent !== text) this.#banner.textContent = text;
  }

  #nodeText() {
    const { link, whereabouts } = this.#chat;
    const name = nodeText(whereabouts.node, this.#speech, whereabouts);
    if (name === null) return this.#speech.say('nodeUnknown');
    return link.transport === 'websocket' ? name : `${this.#speech.say('nodeLast')} ${name}`;
  }

  async #markUnavailable(url) {
    const info = await fetchInfo(url);
    for (const option of [...this.#select.options].slice(1)) {
      if (unavailableBecause(option.value, { info, sameOrigin: true }) === null) continue;
      option.disabled = true;
    }
  }
}

function backTexts(note, speech, whereabouts) {
  return [backText(note, speech), movedText(note, speech, whereabouts)].filter((text) => text !== null).join(' ');
}
