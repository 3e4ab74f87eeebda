// Where clients of the ledger sit: in this process, or each in a page of its own.

import { current } from '../harness/clients.js';
import { OPEN_MS } from '../harness/patience.js';
import { takeSeat } from './seat.js';

/** The transports of the stock client in Node. */
export const nodeTransports = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];

/** Those that pages use over HTTP; the ones in iframes are the same requests from within an iframe. */
export const pageTransports = ['xhr-streaming', 'eventsource', 'htmlfile', 'xhr-polling', 'jsonp-polling'];

/** Clients in Node. */
export const inNode = {
  name: 'Node',
  take: async (seat) => takeSeat(current.load(), seat),
};

/** Clients in Chromium, in pages of the cluster's own origin. */
export function inChromium({ browser, site }) {
  return {
    name: 'Chromium',
    take: async (seat) => {
      // A context has its own connections: the browser's limit of six per host does not join the clients.
      const context = await browser.newContext();
      const page = await context.newPage();
      await page.goto(`${seat.url}/ledger`, { timeout: OPEN_MS });
      await page.addScriptTag({ url: site.script(current) });
      await page.evaluate(
        ([source, setting]) => {
          window.seat = window.eval(`(${source})`)(window.SockJS, setting);
        },
        [takeSeat.toString(), seat],
      );
      const ask = (method, ...args) => page.evaluate(([name, list]) => window.seat[name](...list), [method, args]);
      return {
        look: () => ask('look'),
        speak: (ms) => ask('speak', ms),
        hush: () => ask('hush'),
        leave: () => context.close(),
      };
    },
  };
}
