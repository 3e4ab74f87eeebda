// The chat as people use it.
/* global document, window */

import { Page, openPage } from './page.js';
import { OPEN_MS } from './patience.js';

/** Opens the chat that the server at `url` serves, in English unless told otherwise; see openPage. */
export function openChat(browser, url, { room = '', transport = '', ...options } = {}) {
  const query = transport && `?transport=${transport}`;
  const path = `/chat/${query}${room && `#${encodeURIComponent(room)}`}`;
  return openPage(browser, url, { path, context: { locale: 'en-GB' }, ...options }, ChatPage);
}

class ChatPage extends Page {
  /** Gives a name, and resolves once the page is connected. */
  async enter(name) {
    await this.at('name').fill(name);
    await this.at('name-submit').click();
    await this.connected();
  }

  connected(ms = OPEN_MS) {
    return this.isInState('open', ms);
  }

  isInState(state, ms = OPEN_MS) {
    const is = (wanted) => document.querySelector('[data-testid=state]').dataset.state === wanted;
    return this.page.waitForFunction(is, state, { timeout: ms });
  }

  async say(text) {
    await this.at('message-text').fill(text);
    await this.page.keyboard.press('Enter');
  }

  /** The messages that are in the document, as {name, text, state}; `name` is null where one goes on. */
  messages() {
    return this.at('message-list').evaluate((list) =>
      [...list.querySelectorAll('.message')].map((row) => ({
        own: row.dataset.own === 'true',
        name: row.querySelector('.message-name')?.textContent ?? null,
        text: row.querySelector('.bubble').textContent,
        state: row.dataset.state ?? null,
      })),
    );
  }

  async texts() {
    return (await this.messages()).map(({ text }) => text);
  }

  /** Resolves once a message of this text is in the document, there for all. */
  async shows(text, ms = OPEN_MS) {
    const isThere = (wanted) =>
      [...document.querySelectorAll('.message:not([data-state]) .bubble')].some(
        (bubble) => bubble.textContent === wanted,
      );
    try {
      await this.page.waitForFunction(isThere, text, { timeout: ms });
    } catch (error) {
      throw new Error(`never showed ${JSON.stringify(text)}; it shows:\n${(await this.texts()).join('\n')}`, {
        cause: error,
      });
    }
  }

  /** Resolves once these, and nobody else, are shown as being there. */
  async showsPeople(names, ms = OPEN_MS) {
    const are = (wanted) => {
      const people = [...document.querySelectorAll('[data-testid=people-list] bdi')];
      return JSON.stringify(people.map(({ textContent }) => textContent)) === JSON.stringify(wanted);
    };
    try {
      await this.page.waitForFunction(are, names, { timeout: ms });
    } catch (error) {
      throw new Error(`never showed ${names.join(', ')}; it shows: ${await this.text('people-list')}`, {
        cause: error,
      });
    }
  }

  async openRoom(name) {
    await this.at('room-new').click();
    await this.at('room-name').fill(name);
    await this.at('room-join').click();
    await this.reads('room-title', new RegExp(`^${name}$`));
  }

  /** Scrolls to the very beginning, step by step, and back to the end: every message on the way down, in order. */
  async everything(step = 500, ms = 60_000) {
    const scroll = async ([px, patience]) => {
      const box = document.querySelector('[data-testid=messages]');
      // Between two frames, as a person scrolls: the page hears of it before it draws again.
      const frame = () => new Promise((done) => window.requestAnimationFrame(() => window.setTimeout(done)));
      const until = window.performance.now() + patience;
      const inTime = () => window.performance.now() < until;
      while (!document.querySelector('[data-testid=beginning]') && inTime()) {
        box.scrollTop -= px;
        await frame();
      }
      box.scrollTop = 0;
      await frame();
      const beginning = document.querySelector('[data-testid=beginning]')?.textContent ?? null;
      const seen = new Map();
      let most = 0;
      for (let last = -1; box.scrollTop !== last && inTime();) {
        await frame();
        const rows = [...document.querySelectorAll('.message')];
        most = Math.max(most, rows.length);
        for (const row of rows) seen.set(row.dataset.id, row.querySelector('.bubble').textContent);
        last = box.scrollTop;
        box.scrollTop += px;
        await frame();
      }
      return { texts: [...seen.values()], most, beginning };
    };
    return this.page.evaluate(scroll, [step, ms]);
  }
}
