// Where a client runs: a page in a real, headless Chromium.

import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { Connection } from './connection.js';
import { within } from './deadline.js';
import { OPEN_MS, PAGE_GRACE_MS, clientOptions } from './patience.js';
import { connectRecorded } from './recorder.js';

const BINARIES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const FLAGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const KEPT_REMARKS = 20;

export const pageTransports = [
  'websocket',
  'xhr-streaming',
  'eventsource',
  'iframe-eventsource',
  'htmlfile',
  'iframe-htmlfile',
  'xhr-polling',
  'iframe-xhr-polling',
  'jsonp-polling',
];

/** The client offers htmlfile only to pages of the server's own origin. */
export const crossOriginTransports = pageTransports.filter((transport) => transport !== 'htmlfile');

/** Starts a browser; its `stop()` ends it. */
export async function startChromium() {
  const executablePath = process.env.CHROMIUM_BIN ?? BINARIES.find((path) => existsSync(path));
  if (!executablePath) throw new Error(`no Chromium: set CHROMIUM_BIN, or install one of ${BINARIES.join(', ')}`);
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  return {
    newContext: (options) => browser.newContext(options),
    /** A session with the browser itself, for what pages do not show. */
    newSession: () => browser.newBrowserCDPSession(),
    stop: () => browser.close(),
  };
}

/** The page for a connection to `url` is of the server's own origin: the service's greeting. */
export const sameOrigin = (url) => url;

export class ChromiumPlace {
  #setting;

  /**
   * @param {object} setting
   * @param {object} setting.browser from startChromium
   * @param {object} setting.site from startSite
   * @param {object} setting.client one of clients.js
   * @param {(url: string) => string} setting.page the page's URL for a service's URL: sameOrigin, or one of the site's
   * @param {string} setting.name what reports call the place
   * @param {() => void} [setting.prepare] runs in each page and frame before all of their scripts
   */
  constructor(setting) {
    this.#setting = setting;
    this.name = `client ${setting.client.version} in Chromium, ${setting.name}`;
  }

  /**
   * Opens a page and starts to connect to the service at `url`; the options are those of clientOptions.
   * The connection's `webSockets` are the URLs of all WebSockets that the page tried, with or without success.
   */
  async connect(url, options) {
    const { browser, site, client, page: pageFor, prepare } = this.#setting;
    // A context has its own connections: the browser's limit of six per host does not join separate tests.
    const context = await browser.newContext();
    try {
      const page = await context.newPage();
      const webSockets = [];
      page.on('websocket', (socket) => webSockets.push(socket.url()));
      const remarks = remarksOf(page);
      if (prepare) await page.addInitScript(prepare);
      await page.goto(pageFor(url), { timeout: OPEN_MS });
      await page.addScriptTag({ url: site.script(client) });
      await page.evaluate(
        ([source, ...args]) => {
          window.recorder = window.eval(`(${source})`)(window.SockJS, ...args);
        },
        [connectRecorded.toString(), url, clientOptions(options)],
      );
      const end = () => context.close();
      const connection = new Connection({ ask: asker(page, remarks), vanish: end, stop: end });
      return Object.assign(connection, { webSockets });
    } catch (error) {
      await context.close();
      throw error;
    }
  }
}

/** A function that calls a method of the page's recorder; its failures tell what the page had to say. */
function asker(page, remarks) {
  return async (method, args, ms) => {
    const answer = page.evaluate(([name, list]) => window.recorder[name](...list), [method, args]);
    try {
      return await within(ms + PAGE_GRACE_MS, `the page to answer "${method}"`, answer);
    } catch (error) {
      const said = remarks.slice(-KEPT_REMARKS).join('\n') || '(nothing)';
      throw new Error(`${error.message}\nThe page's console:\n${said}`, { cause: error });
    }
  };
}

/** The page's errors and console lines, as they come. */
function remarksOf(page) {
  const remarks = [];
  page.on('pageerror', (error) => remarks.push(`page error: ${error.message}`));
  page.on('console', (message) => remarks.push(`${message.type()}: ${message.text()}`));
  return remarks;
}
