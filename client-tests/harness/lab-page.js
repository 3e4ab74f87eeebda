// The transport lab as a visitor uses it: its fields and buttons, found by their data-testid.
/* global window, document */

import { OPEN_MS } from './patience.js';

// What a careful operator would put in front of the page.
const POLICY = "default-src 'self'; img-src 'self' data:";

/**
 * Opens the lab that the server at `url` serves, in a browser context of its own.
 *
 * The page gets a strict Content-Security-Policy. Its errors, what the policy refused and requests to other hosts are
 * kept, and `stop()` fails when there was anything to complain about.
 *
 * @param {object} browser from startChromium
 * @param {string} url of the server, without a path
 * @param {{path?: string, size?: {width: number, height: number}, before?: (page: object) => Promise<void>}} [options]
 *   `before` runs with the page before anything is loaded
 */
export async function openLab(browser, url, { path = '/', size = { width: 1280, height: 900 }, before } = {}) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(OPEN_MS);
  const lab = new Lab(context, page, new URL(url).host);
  await page.setViewportSize(size);
  await page.addInitScript((policy) => {
    window.refusals = [];
    document.addEventListener('securitypolicyviolation', (event) =>
      window.refusals.push(`${event.violatedDirective} ${event.blockedURI}`),
    );
    if (window !== window.top) return;
    // As an element and not as a header: a page that the test answers for has no address, and Chromium lets such
    // pages open no WebSocket to this machine.
    const head = new window.MutationObserver(() => {
      if (!document.head) return;
      head.disconnect();
      const meta = document.createElement('meta');
      meta.httpEquiv = 'Content-Security-Policy';
      meta.content = policy;
      document.head.prepend(meta);
    });
    head.observe(document, { childList: true, subtree: true });
  }, POLICY);
  if (before) await before(page);
  await page.goto(`${url}${path}`);
  return lab;
}

class Lab {
  #context;
  #complaints = [];

  constructor(context, page, host) {
    this.#context = context;
    this.page = page;
    page.on('pageerror', (error) => this.#complaints.push(`page error: ${error.message}`));
    page.on('request', (request) => {
      const asked = new URL(request.url());
      if (asked.protocol !== 'data:' && asked.host !== host) this.#complaints.push(`asked another host: ${asked}`);
    });
  }

  /** The element with this data-testid. */
  at(name) {
    return this.page.getByTestId(name);
  }

  text(name) {
    return this.at(name).innerText();
  }

  /** Resolves once the element's text fits `pattern`; its failure shows the text there was. */
  async reads(name, pattern, ms = OPEN_MS) {
    const fits = ([id, source]) => new RegExp(source).test(document.querySelector(`[data-testid="${id}"]`).innerText);
    try {
      await this.page.waitForFunction(fits, [name, pattern.source], { timeout: ms });
    } catch (error) {
      throw new Error(`"${name}" never read ${pattern}; it reads: ${await this.text(name)}`, { cause: error });
    }
  }

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

  async stop() {
    const refusals = await this.page.evaluate(() => window.refusals);
    await this.#context.close();
    const complaints = [...this.#complaints, ...refusals.map((refusal) => `refused by the policy: ${refusal}`)];
    if (complaints.length > 0) throw new Error(`the page is not well:\n${complaints.join('\n')}`);
  }
}
