// An old stock client, 1.0.3, which pages still use: in Node, and in pages with iframes of its own version.

import { after, describe } from 'node:test';
import { ChromiumPlace, crossOriginTransports, sameOrigin, startChromium } from '../harness/chromium-place.js';
import { old } from '../harness/clients.js';
import { Lifetime } from '../harness/lifetime.js';
import { NodePlace, nodeTransports } from '../harness/node-place.js';
import { startSite } from '../harness/site.js';
import { startSockhop } from '../harness/sockhop.js';
import { wholeUnicode } from '../scenarios/messages.js';
import { describeTransports } from '../scenarios/suite.js';

const life = new Lifetime();
const site = life.add(await startSite());
const browser = life.add(await startChromium());
// A page and its iframe must run the very same version, so the server names the old one to the iframe.
const server = life.add(await startSockhop({ args: ['--heartbeat', '1s', '--iframe-client-url', site.script(old)] }));

const iframes = crossOriginTransports.filter((transport) => transport.startsWith('iframe-'));
const setting = { browser, site, client: old };

describe('an old client', () => {
  after(() => life.end());
  describeTransports({
    place: new NodePlace(old),
    transports: nodeTransports,
    server,
    around: life,
    // Its eventsource library for Node (0.1.6) decodes each piece of a response by itself and so breaks a
    // character that two pieces share.
    faults: { eventsource: [wholeUnicode] },
  });
  describeTransports({
    place: new ChromiumPlace({ ...setting, page: sameOrigin, name: 'same origin' }),
    transports: ['websocket', 'xhr-streaming', 'htmlfile', 'jsonp-polling'],
    server,
    around: life,
  });
  describeTransports({
    place: new ChromiumPlace({ ...setting, page: () => site.otherHost, name: 'cross-origin, its own iframe' }),
    transports: iframes,
    server,
    around: life,
  });
});
