// The transport lab as a visitor uses it: its fields and buttons, found by their data-testid.

import { Page, openPage } from './page.js';

/** Opens the lab that the server at `url` serves; see openPage. */
export function openLab(browser, url, options) {
  return openPage(browser, url, options, Lab);
}

class Lab extends Page {
  /** Chooses a transport, connects, and resolves once the connection is open. */
  async connect(transport) {
    await this.at('transport-select').selectOption(transport);
    await this.at('connect').click();
    await this.reads('state', /^Open$/);
  }

  async disconnect() {
    await this.at('connect').click();
    await this.reads('state', /^Closed$/);
  }

  async say(text) {
    await this.at('message-text').fill(text);
    await this.at('message-send').click();
  }

  async ping(count) {
    await this.at('ping-count').fill(String(count));
    await this.at('ping-send').click();
  }

  /** The rows of the frame log, as {direction, kind, text}. */
  frames() {
    return this.at('frame-log').evaluate((list) =>
      [...list.children].map((row) => ({ ...row.dataset, text: row.querySelector('code').textContent })),
    );
  }

  async join(name, transport) {
    await this.at('room-name').fill(name);
    await this.at('room-transport').selectOption(transport);
    await this.at('room-join').click();
    await this.reads('room-state', /^In the room as /);
  }

  async tell(text) {
    await this.at('room-text').fill(text);
    await this.at('room-send').click();
  }
}
