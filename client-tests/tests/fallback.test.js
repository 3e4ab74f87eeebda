// Where its first choice does not work, the stock client finds another transport by itself: no test here names one.

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { ChromiumPlace, sameOrigin, startChromium } from '../harness/chromium-place.js';
import { current } from '../harness/clients.js';
import { Lifetime } from '../harness/lifetime.js';
import { plainProxy, startNginx } from '../harness/nginx.js';
import { NodePlace } from '../harness/node-place.js';
import { startSite } from '../harness/site.js';
import { startSockhop } from '../harness/sockhop.js';
import { assertSameMessages } from '../scenarios/assertions.js';
import { scenario } from '../harness/scenario.js';

const life = new Lifetime();
const server = life.add(await startSockhop());
const site = life.add(await startSite());
const browser = life.add(await startChromium());
const refusing = life.add(await startNginx((listen) => plainProxy(listen, server.url, 'proxy_buffering off;')));
// A compressor in the way: it keeps the frames of a stream to itself until the stream ends.
const withholding = life.add(
  await startNginx((listen) =>
    plainProxy(listen, server.url, `gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any;`),
  ),
);

const node = new NodePlace(current);
const same = chromium({ page: sameOrigin, name: 'same origin' });
const cross = chromium({ page: () => site.otherPort, name: 'cross-origin' });
const withoutWebSocket = () => delete window.WebSocket;
const pages = [same, cross];

describe('fallback', { concurrency: 3 }, () => {
  after(() => life.end());

  for (const place of [node, ...pages]) {
    describe(place.name, { concurrency: 1 }, () => {
      scenario('with nothing in the way the client takes websocket', life, async (test) => {
        const { transport } = await talk(test, place, `${server.url}/echo`);
        assert.equal(transport, 'websocket');
      });

      scenario('a service without websocket is not asked for one', life, async (test) => {
        const { transport, webSockets } = await talk(test, place, `${server.url}/disabled_websocket_echo`);
        assert.equal(transport, 'xhr-streaming');
        assert.deepEqual(webSockets ?? [], []);
      });

      scenario('behind an nginx that refuses upgrades the client streams', life, async (test) => {
        const { transport, webSockets } = await talk(test, place, `${refusing.url}/echo`);
        assert.equal(transport, 'xhr-streaming');
        if (webSockets) assert.equal(webSockets.length, 1, 'the page tried one WebSocket first');
      });
    });
  }

  for (const place of pages) {
    scenario(`behind an nginx that also compresses streams the client polls (${place.name})`, life, async (test) => {
      const { transport } = await talk(test, place, `${withholding.url}/echo`, { patient: false });
      assert.match(transport, /-polling$/);
    });
  }

  for (const [name, page] of [
    ['same origin', sameOrigin],
    ['cross-origin', () => site.otherHost],
  ]) {
    scenario(`a page without WebSocket streams (${name})`, life, async (test) => {
      const place = chromium({ page, name, prepare: withoutWebSocket });
      const { transport, webSockets } = await talk(test, place, `${server.url}/echo`);
      assert.equal(transport, 'xhr-streaming');
      assert.deepEqual(webSockets, []);
    });
  }
});

/** Connects, exchanges some messages and resolves with what was used for it. */
async function talk(test, place, url, options) {
  const connection = test.add(await place.connect(url, options));
  const transport = await connection.opened();
  const lines = ['one', 'two', 'three'];
  assertSameMessages(await connection.converse(lines), lines);
  return { transport, webSockets: connection.webSockets };
}

function chromium(setting) {
  return new ChromiumPlace({ browser, site, client: current, ...setting });
}
