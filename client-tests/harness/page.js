// A page of the server as a visitor uses it: its parts are found by their data-testid.
/* global window, document */

import { OPEN_MS } from './patience.js';

// What a careful operator would put in front of the page.
const POLICY = "default-src 'self'; img-src 'self' data:";

/**
 * Opens a page in a browser context of its own, or in one that is there already.
 *
 * It gets a strict Content-Security-Policy. Its errors, what the policy refused and requests to other hosts are kept,
 * and `stop()` fails when there was anything to complain about.
 *
 * @param {object} browser from startChromium
 * @param {string} url of the server, without a path
 * @param {object} [options]
 * @param {string} [options.path]
 * @param {{width: number, height: number}} [options.size]
 * @param {object} [options.context] further options of the context, such as `locale`
 * @param {Page} [options.beside] another page, whose context this one shares
 * @param {(page: object) => Promise<void>} [options.before] runs with the page before anything is loaded
 * @param {typeof Page} [Kind] what is made of it
 */
export async function openPage(browser, url, options = {}, Kind = Page) {
  const { path = '/', size = { width: 1280, height: 900 }, context: wanted, beside, before } = options;
  const context = beside?.context ?? (await browser.newContext(wanted));
  const page = await context.newPage();
  page.setDefaultTimeout(OPEN_MS);
  const opened = new Kind(context, page, new URL(url).host, beside === undefined);
  await page.setViewportSize(size);
  await page.addInitScript(enforce, POLICY);
  if (before) await before(page);
  await page.goto(`${url}${path}`);
  return opened;
}

export class Page {
  #complaints = [];
  #ownsContext;

  constructor(context, page, host, ownsContext) {
    this.context = context;
    this.page = page;
    this.#ownsContext = ownsContext;
    page.on('pageerror', (error) => this.#complaints.push(`page error: ${error.stack}`));
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
    // The part may have yet to come.
    const fits = ([id, source]) => {
      const part = document.querySelector(`[data-testid="${id}"]`);
      return part !== null && new RegExp(source).test(part.innerText);
    };
    try {
      await this.page.waitForFunction(fits, [name, pattern.source], { timeout: ms });
    } catch (error) {
      throw new Error(`"${name}" never read ${pattern}; it reads: ${await this.text(name)}`, { cause: error });
    }
  }

  async stop() {
    const refusals = await this.page.evaluate(() => window.refusals);
    await (this.#ownsContext ? this.context.close() : this.page.close());
    const complaints = [...this.#complaints, ...refusals.map((refusal) => `refused by the policy: ${refusal}`)];
    if (complaints.length > 0) throw new Error(`the page is not well:\n${complaints.join('\n')}`);
  }
}

/** Runs in the page. */
function enforce(policy) {
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
}
