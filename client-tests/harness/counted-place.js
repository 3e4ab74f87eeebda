// Where a counted client runs: this process, or a page.

import { ResumingSocket } from '../../www/resume.js';
import { connectCounted } from './counted.js';
import { OPEN_MS } from './patience.js';

/** For servers whose heartbeat is short. */
export const QUICK = { first: 200, longest: 1_000, hidden: 1_000, silence: 3_000 };

/** In Node, with one of clients.js. */
export const nodeCounted = (client) => ({
  name: `client ${client.version} in Node`,
  connect: async (url, transports) => {
    const counted = connectCounted(client.load(), ResumingSocket, url, QUICK, transports);
    return { ...counted, account: async () => counted.account(), stop: async () => counted.close() };
  },
});

/** In a page of the server's own origin, with the module that the server serves. */
export const pageCounted = ({ browser, site, client }) => ({
  name: `client ${client.version} in Chromium`,
  connect: async (url, transports) => {
    const context = await browser.newContext();
    try {
      const page = await context.newPage();
      await page.goto(url, { timeout: OPEN_MS });
      await page.addScriptTag({ url: site.script(client) });
      await page.evaluate(
        async ([source, module, ...args]) => {
          const { ResumingSocket } = await import(module);
          window.counted = window.eval(`(${source})`)(window.SockJS, ResumingSocket, ...args);
        },
        [connectCounted.toString(), new URL('/resume.js', url).href, url, QUICK, transports],
      );
      const ask =
        (method) =>
        (...args) =>
          page.evaluate(([name, list]) => window.counted[name](...list), [method, args]);
      const methods = ['ready', 'received', 'gap', 'account'].map((method) => [method, ask(method)]);
      return { ...Object.fromEntries(methods), stop: () => context.close() };
    } catch (error) {
      await context.close();
      throw error;
    }
  },
});
