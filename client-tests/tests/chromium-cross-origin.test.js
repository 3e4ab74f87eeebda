// The current stock client in pages of another site (localhost) than the server's (127.0.0.1), where each iframe
// transport runs in a frame of the server's origin.

import { after, describe } from 'node:test';
import { ChromiumPlace, crossOriginTransports, startChromium } from '../harness/chromium-place.js';
import { current } from '../harness/clients.js';
import { Lifetime } from '../harness/lifetime.js';
import { startSite } from '../harness/site.js';
import { startSockhop } from '../harness/sockhop.js';
import { describeTransports } from '../scenarios/suite.js';

const life = new Lifetime();
const server = life.add(await startSockhop({ args: ['--heartbeat', '1s'] }));
const site = life.add(await startSite());
const browser = life.add(await startChromium());

describe('pages of another origin', () => {
  after(() => life.end());
  const page = () => site.otherHost;
  const place = new ChromiumPlace({ browser, site, client: current, page, name: 'cross-origin' });
  describeTransports({ place, transports: crossOriginTransports, server, around: life });
});
