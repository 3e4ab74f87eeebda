// Runs all trials and writes docs/reliability.md; fails where an observation breaks a promise.
//
//   npm run reliability -- [--seconds N] [--clients N] [--pages N] [--fault-seconds N] [--only EVENT] [--dry]
//   npm run reliability -- --stomp [--stomp-clients N] [--seconds N] [--only EVENT] [--dry]
//
// Numbers are of each event, and of each transport in Node and in Chromium; --dry prints what would be written, and --stomp
// tries STOMP alone, and writes its part of the document anew.

import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import prettier from 'prettier';
import { startChromium } from '../harness/chromium-place.js';
import { startCluster } from '../harness/cluster.js';
import { Lifetime } from '../harness/lifetime.js';
import { startSite } from '../harness/site.js';
import { documentOf } from './document.js';
import { calm, drains, kills, stops } from './events.js';
import { inChromium, inNode, nodeTransports, pageTransports } from './places.js';
import { watchReadiness } from './readiness.js';
import { disconnect, flush, freeze, restart, unsubscribe } from './redis-events.js';
import { tryStomp } from './stomp.js';
import { stompPart, withStompPart } from './stomp-document.js';
import { tryEvent } from './trial.js';

const DOCUMENT = new URL('../../docs/reliability.md', import.meta.url);
const FAULT_CLIENTS = 10;
// Of the breaches of one trial, so many are told.
const MOST = 20;

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    clients: { type: 'string', default: '100' },
    pages: { type: 'string', default: '4' },
    'fault-seconds': { type: 'string', default: '30' },
    only: { type: 'string' },
    stomp: { type: 'boolean', default: false },
    'stomp-clients': { type: 'string', default: '5' },
    dry: { type: 'boolean', default: false },
  },
});

const setting = {
  seconds: Number(options.seconds),
  faultSeconds: Number(options['fault-seconds']),
  faultClients: FAULT_CLIENTS,
  lease: 6,
  // A node that stands still for longer than this, but not for the 5 s that a session waits for its client.
  stopLease: 3,
  faultLease: 15,
  sendMs: 5_000,
  publishMs: 2_000,
  stompClients: Number(options['stomp-clients']),
  stompMs: 500,
};
const breaches = [];
const isWanted = ({ name }) => !options.only || options.only === name;

const pretty = (text) => prettier.format(text, { parser: 'markdown', printWidth: 120 });
const text = options.stomp ? await stompAlone() : await everything();
if (breaches.length > 0) {
  console.log(text);
  console.error(`Promises were broken:\n${breaches.join('\n')}`);
  process.exitCode = 1;
} else if (options.dry || options.only) {
  console.log(text);
} else {
  await writeFile(DOCUMENT, text);
}

async function everything() {
  const results = { setting, events: await tryNodes(), faults: await tryRedis(), stomp: await tryAllStomp() };
  return pretty(documentOf(results));
}

/** The document as it is, with new figures of STOMP. */
async function stompAlone() {
  const part = await pretty(stompPart({ setting, stomp: await tryAllStomp() }));
  return options.dry || options.only ? part : withStompPart(await readFile(DOCUMENT, 'utf8'), part);
}

async function tryAllStomp() {
  const trials = await tryStomp(setting, isWanted);
  for (const { event, breaches: found, output } of trials) {
    if (found.length > 0)
      breaches.push(...found.slice(0, MOST).map((breach) => `STOMP, ${event.name}: ${breach}`), output);
  }
  return trials;
}

async function tryNodes() {
  const trials = [];
  for (const event of [calm, drains, kills, stops].filter(isWanted)) {
    const life = new Lifetime();
    try {
      const cluster = life.add(await startCluster({ lease: event === stops ? setting.stopLease : setting.lease }));
      const page = inChromium({ browser: life.add(await startChromium()), site: life.add(await startSite()) });
      const clients = [
        ...nodeTransports.map((transport) => ({ place: inNode, transport, count: Number(options.clients) })),
        ...pageTransports.map((transport) => ({ place: page, transport, count: Number(options.pages) })),
      ];
      trials.push(await trial({ cluster, clients }, event, setting.seconds));
    } finally {
      await life.end();
    }
  }
  return trials;
}

async function tryRedis() {
  const trials = [];
  for (const event of [restart, unsubscribe, disconnect, freeze, flush].filter(isWanted)) {
    const cluster = await startCluster({ lease: setting.faultLease, durable: true });
    try {
      const clients = nodeTransports.map((transport) => ({ place: inNode, transport, count: FAULT_CLIENTS }));
      const watch = watchReadiness(cluster);
      const found = await trial({ cluster, clients }, event, setting.faultSeconds);
      trials.push({ ...found, unready: await watch.stop() });
    } finally {
      await cluster.stop();
    }
  }
  return trials;
}

async function trial({ cluster, clients }, event, seconds) {
  console.error(`${event.name}: ${event.text}, ${seconds} s`);
  const { sendMs, publishMs } = setting;
  const found = await tryEvent({ cluster, clients, sendMs, publishMs }, event, seconds);
  for (const { place, transport, account } of found.rows) {
    console.error(`  ${place} ${transport} ${JSON.stringify(account)}`);
  }
  if (found.breaches.length > 0) {
    breaches.push(...found.breaches.slice(0, MOST).map((breach) => `${event.name}: ${breach}`), cluster.output);
  }
  return { event, ...found };
}
