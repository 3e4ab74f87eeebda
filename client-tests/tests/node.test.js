// The current stock client in Node against one server.

import { after, describe } from 'node:test';
import { current } from '../harness/clients.js';
import { Lifetime } from '../harness/lifetime.js';
import { NodePlace, nodeTransports } from '../harness/node-place.js';
import { startSockhop } from '../harness/sockhop.js';
import { describeTransports } from '../scenarios/suite.js';

const life = new Lifetime();
const server = life.add(await startSockhop({ args: ['--heartbeat', '1s'] }));

describe('Node', () => {
  after(() => life.end());
  describeTransports({ place: new NodePlace(current), transports: nodeTransports, server, around: life });
});
