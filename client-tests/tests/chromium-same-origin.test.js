// The current stock client in pages of the server's own origin.

import { after, describe } from 'node:test';
import { ChromiumPlace, pageTransports, sameOrigin, startChromium } from '../harness/chromium-place.js';
import { current } from '../harness/clients.js';
import { Lifetime } from '../harness/lifetime.js';
import { startSite } from '../harness/site.js';
import { startSockhop } from '../harness/sockhop.js';
import { describeTransports } from '../scenarios/suite.js';

const life = new Lifetime();
const server = life.add(await startSockhop({ args: ['--heartbeat', '1s'] }));
const site = life.add(await startSite());
const browser = life.add(await startChromium());

describe('pages of the same origin', () => {
  after(() => life.end());
  const place = new ChromiumPlace({ browser, site, client: current, page: sameOrigin, name: 'same origin' });
  describeTransports({ place, transports: pageTransports, server, around: life });
});
