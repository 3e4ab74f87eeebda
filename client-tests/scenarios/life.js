// How a session is kept alive, goes on over many responses, and ends, seen from the client and from the wire.

import assert from 'node:assert/strict';
import { fetchRaw } from '../harness/raw.js';
import { startRelay } from '../harness/relay.js';
import { assertSameMessages } from './assertions.js';
import { isStream, receiverEndpoint, waitingReceiver } from './endpoints.js';

export const serverCloses = {
  claim: "the server's close arrives with its code and reason",
  async run({ place, transport, server, life }) {
    const connection = life.add(await place.connect(`${server.url}/close`, { transports: [transport] }));
    assert.deepEqual(await connection.closed(), { code: 3000, reason: 'Go away!', wasClean: true });
  },
};

export const heartbeats = {
  claim: 'a silent session gets heartbeats and still works after them',
  async run({ place, transport, server, life }) {
    const connection = life.add(await place.connect(`${server.url}/echo`, { transports: [transport] }));
    await connection.opened();
    await connection.heartbeats(2);
    assertSameMessages(await connection.converse(['still here']), ['still here']);
  },
};

export const responseLimit = {
  claim: 'a session goes on in a new response when one has reached its limit',
  applies: isStream,
  async run({ place, transport, server, life }) {
    const relay = life.add(await startRelay(server.url));
    const connection = life.add(await place.connect(`${relay.url}/echo`, { transports: [transport] }));
    await connection.opened();

    // 20 KiB at the limit of 4 KiB of /echo.
    const lines = Array.from({ length: 40 }, (_, number) => `${number} `.padEnd(512, '.'));
    assertSameMessages(await connection.converse(lines), lines);

    const receivers = relay.requests(receiverEndpoint(transport)).map(({ path }) => path);
    assert.equal(new Set(receivers).size, 1, `one session, not several: ${receivers.join(' ')}`);
    assert.ok(receivers.length >= 4, `20 KiB need several responses, not ${receivers.length}`);
    assert.ok(receivers.length <= 10, `a response ended long before its limit: ${receivers.length} of them`);
  },
};

export const clientVanishes = {
  claim: 'a client that vanishes is noticed at once',
  run: (stage) => clientEnds(stage, (connection, relay) => connection.vanish(relay)),
};

export const clientCloses = {
  claim: 'a client that closes is noticed at once',
  // A page cannot withdraw a script that it has asked for: the poll stays until its next frame.
  applies: (transport) => transport !== 'jsonp-polling',
  run: (stage) => clientEnds(stage, (connection) => connection.close()),
};

/**
 * The session's receiver waits, the client goes. Then the server must close its side of the connection without
 * waiting for a heartbeat to fail, and the session must be over: a receiver with its id begins a new one, where
 * a session that is held still answers 2010 and one that only lost its receiver answers nothing.
 */
async function clientEnds({ place, transport, server, life }, end) {
  const relay = life.add(await startRelay(server.url));
  const connection = life.add(await place.connect(`${relay.url}/echo`, { transports: [transport] }));
  await connection.opened();
  const { path, connection: receiver } = await waitingReceiver(relay, transport);
  // The receiver was sent before this request; its answer shows that the server has got that far.
  await fetchRaw('GET', `${server.url}/echo/info`);

  await end(connection, relay);
  await relay.letGo(receiver);

  // A WebSocket is its session: with the connection it is gone.
  if (transport === 'websocket') return;
  const { status, body } = await fetchRaw('POST', `${server.url}${path.replace(/[^/]+$/, 'xhr')}`);
  assert.deepEqual({ status, body }, { status: 200, body: 'o\n' });
}
