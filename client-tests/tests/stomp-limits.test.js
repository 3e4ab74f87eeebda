// The limits of STOMP that operators set: each holds, and says so.

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import WebSocket from 'ws';
import { within } from '../harness/deadline.js';
import { Lifetime } from '../harness/lifetime.js';
import { MESSAGES_MS } from '../harness/patience.js';
import { scenario } from '../harness/scenario.js';
import { startSockhop } from '../harness/sockhop.js';

const LIMITS = {
  '--stomp-frame-limit': '1KiB',
  '--stomp-max-headers': '5',
  '--stomp-header-limit': '300',
  '--stomp-transaction-limit': '700',
  '--stomp-max-subscriptions': '2',
  '--stomp-heart-beat': '3s',
  '--max-topics': '3',
};

const life = new Lifetime();
const server = life.add(await startSockhop({ args: ['--service', '/ws=stomp', ...Object.entries(LIMITS).flat()] }));

/** Sends frames over a plain WebSocket: all that comes until the server closes it. */
function conversation(...frames) {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws/websocket`, ['v12.stomp']);
  const came = new Promise((resolve, reject) => {
    let text = '';
    socket.on('open', () => frames.forEach((frame) => socket.send(`${frame}\0`)));
    socket.on('message', (data) => (text += data));
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
  return within(MESSAGES_MS, 'the end', came);
}

const connect = 'CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n';
const send = (body, headers = '') => `SEND\ndestination:/topic/a\n${headers}\n${body}`;
const subscribe = (id, destination = `/topic/${id}`) => `SUBSCRIBE\nid:${id}\ndestination:${destination}\n\n`;
const disconnect = 'DISCONNECT\nreceipt:end\n\n';

describe('limits of STOMP', { concurrency: 1 }, () => {
  after(() => life.end());

  scenario('a heart-beat is offered as often as it says', life, async () => {
    assert.match(await conversation(connect, disconnect), /heart-beat:3000,3000\n[^]*receipt-id:end/);
  });

  scenario('frames, headers, transactions and subscriptions are counted', life, async () => {
    const begun = ['BEGIN\ntransaction:t\n\n', send('x'.repeat(400), 'transaction:t\n')];
    for (const [frames, error] of [
      [[send('x'.repeat(900))], null],
      [[send('x'.repeat(1100))], /malformed frame[^]*more than 1024 bytes/],
      [[send('', 'a:1\nb:2\nc:3\nd:4\n')], null],
      [[send('', 'a:1\nb:2\nc:3\nd:4\ne:5\n')], /malformed frame[^]*more than 5 headers/],
      [[send('', `a:${'x'.repeat(300)}\n`)], /malformed frame[^]*more than 300 bytes/],
      [begun, null],
      [[...begun, begun[1]], /invalid header[^]*more than 700 bytes/],
      [[subscribe(1), subscribe(2)], null],
      [[subscribe(1), subscribe(2), subscribe(3)], /too many subscriptions[^]*2 subscriptions/],
    ]) {
      const text = await conversation(connect, ...frames, disconnect);
      if (error) assert.match(text, error);
      else assert.match(text, /receipt-id:end/);
    }
  });

  scenario('topics that wildcards can find are counted, and others go on', life, async () => {
    const to = (topic) => `SEND\ndestination:/topic/${topic}\n\nx`;
    const text = await conversation(
      connect,
      subscribe('plain', '/topic/many.4'),
      ...[1, 2, 3, 4].map((number) => to(`many.${number}`)),
      disconnect,
    );
    assert.match(text, /MESSAGE\nsubscription:plain/);
    assert.match(await conversation(connect, subscribe('wild', '/topic/many.*')), /too many topics[^]*max-topics/);
  });
});
