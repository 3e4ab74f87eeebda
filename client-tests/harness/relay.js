// A relay in front of a server that changes no byte, but sees each request line and can cut every connection.
//
// It is how the tests observe what a stock client hides (each new receiver) and what only the server's side of
// a connection shows: that the server let go of a client which had gone.

import { createServer, connect } from 'node:net';
import { once } from 'node:events';
import { within } from './deadline.js';
import { CLOSE_MS } from './patience.js';

const REQUEST_LINE = /(?:GET|POST|OPTIONS) (\S+) HTTP\/1\.1\r\n/g;

/** Starts a relay on a free port to `targets`, the URLs of servers, each connection to the next of them. */
export async function startRelay(...targets) {
  const relay = new Relay(targets.map((target) => new URL(target)));
  await relay.listen();
  return relay;
}

class Relay {
  #targets;
  #carried = 0;
  #down = false;
  #server;
  #connections = new Set();
  #watchers = new Set();

  /** Each request so far, in order: its path without the query, and the connection that it came on. */
  #requests = [];

  constructor(targets) {
    this.#targets = targets;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#carry(client));
  }

  async listen() {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** The requests whose path ends in `endpoint`, in order: `{path, connection}`. */
  requests(endpoint) {
    return this.#requests.filter(({ path }) => path.endsWith(`/${endpoint}`));
  }

  /** Resolves once `count` requests to `endpoint` were handed to the server. */
  seen(endpoint, count, ms = 10_000) {
    return this.#until(
      () => this.requests(endpoint).length >= count,
      ms,
      () => `${count} requests to ${endpoint}; seen: ${this.#requests.map(({ path }) => path).join(' ')}`,
    );
  }

  /** Cuts the clients' connections without a word; the server sees their end as it would see a client's. */
  cut() {
    for (const { client } of this.#connections) client.destroy();
  }

  /** The network is down: every connection breaks, and so does each new one until it is up again. */
  goDown() {
    this.#down = true;
    for (const { client } of this.#connections) client.resetAndDestroy();
  }

  goUp() {
    this.#down = false;
  }

  /** Resolves once `connection`, a request's, was ended by its client and then closed by the server as well. */
  async letGo({ gone, released }, ms = CLOSE_MS) {
    await within(ms, 'the client to end its connection', gone);
    await within(ms, 'the server to close its side of a connection whose client is gone', released);
  }

  async stop() {
    for (const { client, upstream } of this.#connections) {
      client.destroy();
      upstream.destroy();
    }
    this.#server.close();
  }

  #carry(client) {
    if (this.#down) {
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    const target = this.#targets[this.#carried++ % this.#targets.length];
    const upstream = connect({
      host: target.hostname,
      port: Number(target.port),
      allowHalfOpen: true,
      noDelay: true,
    });
    const connection = { client, upstream, gone: ended(client), released: ended(upstream) };
    this.#connections.add(connection);

    // A client's end, of either kind, reaches the server as a plain FIN, and the server's end the client.
    connection.gone.then(() => upstream.end());
    connection.released.then(() => client.end());
    upstream.on('error', () => client.destroy());
    client.on('error', () => {});

    let rest = '';
    client.on('data', (bytes) => {
      // Written before it is announced: who awaits a request may rely on it being on its way.
      if (!upstream.write(bytes)) {
        client.pause();
        upstream.once('drain', () => client.resume());
      }
      rest = this.#note(connection, rest + bytes.toString('latin1'));
    });
    upstream.pipe(client, { end: false });
    Promise.all([once(client, 'close'), once(upstream, 'close')])
      .then(() => this.#connections.delete(connection))
      .catch(() => this.#connections.delete(connection));
  }

  /** Takes note of each complete request line in `text` and hands back what may be the start of one more. */
  #note(connection, text) {
    for (const [, target] of text.matchAll(REQUEST_LINE)) {
      this.#requests.push({ path: target.split('?')[0], connection });
    }
    for (const watcher of [...this.#watchers]) watcher();
    return text.slice(text.lastIndexOf('\n') + 1).slice(-1024);
  }

  #until(ready, ms, what) {
    let watcher;
    const done = new Promise((resolve) => {
      watcher = () => ready() && resolve();
      this.#watchers.add(watcher);
      watcher();
    });
    return within(ms, what, done).finally(() => this.#watchers.delete(watcher));
  }
}

/** Resolves when the far end of `socket` sent its end, or the socket broke or was destroyed here. */
function ended(socket) {
  return new Promise((resolve) => {
    for (const event of ['end', 'error', 'close']) socket.once(event, resolve);
  });
}
