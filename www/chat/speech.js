// The language that the page speaks now: its texts, its dates and numbers, and the parts of the document that bear them.

import { LANGUAGES, TEXTS, preferred } from './texts.js';
import { recall, remember } from './memory.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

export class Speech extends EventTarget {
  #language;
  #formats = null;

  constructor() {
    super();
    const chosen = recall('language');
    this.#use(LANGUAGES.includes(chosen) ? chosen : preferred());
  }

  get language() {
    return this.#language;
  }

  /** The text of this name; `arguments` where it needs any. */
  say(name, ...values) {
    const text = name.split('.').reduce((part, key) => part?.[key], TEXTS[this.#language]);
    if (text === undefined) throw new Error(`no text is named ${name}`);
    return typeof text === 'function' ? text(...values) : text;
  }

  choose(language) {
    remember('language', language);
    this.#use(language);
    this.dispatchEvent(new Event('change'));
  }

  /** Puts texts where the document names them: as content, label, placeholder or title. */
  apply(root = document) {
    document.documentElement.lang = this.#language;
    for (const node of root.querySelectorAll('[data-text]')) node.textContent = this.say(node.dataset.text);
    for (const node of root.querySelectorAll('[data-label]'))
      node.setAttribute('aria-label', this.say(node.dataset.label));
    for (const node of root.querySelectorAll('[data-placeholder]'))
      node.placeholder = this.say(node.dataset.placeholder);
    for (const node of root.querySelectorAll('[data-tip]')) node.title = this.say(node.dataset.tip);
  }

  /** The time of day. */
  time(at) {
    return this.#formats.time.format(at);
  }

  /** Day and time. */
  moment(at) {
    return this.#formats.moment.format(at);
  }

  /** The day, by its name where it is near. */
  day(at, now = Date.now()) {
    const ago = dayNumber(now) - dayNumber(at);
    if (ago === 0) return this.say('today');
    if (ago === 1) return this.say('yesterday');
    return this.#formats.day.format(at);
  }

  count(number) {
    return this.#formats.number.format(number);
  }

  /** How long something took. */
  span(ms) {
    const unit = (value, name, digits) =>
      new Intl.NumberFormat(this.#language, {
        style: 'unit',
        unit: name,
        unitDisplay: this.#language === 'en' ? 'narrow' : 'short',
        maximumFractionDigits: digits,
      })
        .format(value)
        .replace(/(\d)([a-z])/, '$1 $2');
    if (ms < MINUTE) return unit(Math.max(0.1, ms / 1000), 'second', ms < 10_000 ? 1 : 0);
    return ms < HOUR ? unit(ms / MINUTE, 'minute', 0) : unit(ms / HOUR, 'hour', 1);
  }

  #use(language) {
    this.#language = language;
    // As the browser's people write it, where they speak it.
    const locale = navigator.languages.find((tag) => tag.toLowerCase().split('-')[0] === language) ?? language;
    this.#formats = {
      time: new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' }),
      moment: new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'medium' }),
      day: new Intl.DateTimeFormat(locale, { weekday: 'long', year: 'numeric', month: 'long', day: 'numeric' }),
      number: new Intl.NumberFormat(locale),
    };
  }
}

/** Days since 1970, of this place. */
export function dayNumber(at) {
  const date = new Date(at);
  return Math.floor((date.getTime() - date.getTimezoneOffset() * MINUTE) / (24 * HOUR));
}
