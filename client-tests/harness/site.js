// A small web site of the tests' own: an empty page and the script of each client version.
// Its origin is never that of a sockhop server.

import { createServer } from 'node:http';
import { once } from 'node:events';
import { current, old } from './clients.js';

/** Starts the site on a free port. */
export async function startSite() {
  const files = new Map([
    ['/', { type: 'text/html', body: '<!DOCTYPE html><title>client tests</title><body></body>' }],
  ]);
  for (const client of [current, old]) {
    files.set(scriptPath(client), { type: 'text/javascript', body: await client.script() });
  }
  return new Site(await serveFiles(files));
}

/**
 * Serves files on a free port.
 *
 * @param {Map<string, {type: string, body: string | Buffer}>} files by their paths
 */
export async function serveFiles(files) {
  const server = createServer((request, response) => {
    const file = files.get(new URL(request.url, 'http://site').pathname);
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': `${file.type}; charset=UTF-8` }).end(file.body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: server.address().port,
    stop: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

class Site {
  #server;

  constructor(server) {
    this.#server = server;
    const { port } = server;

    /** The empty page, on another port of the servers' host. */
    this.otherPort = `http://127.0.0.1:${port}/`;

    /** The empty page on another host: another site altogether for the browser. */
    this.otherHost = `http://localhost:${port}/`;
  }

  /** The URL of the script of `client`. */
  script(client) {
    return new URL(scriptPath(client), this.otherPort).href;
  }

  stop() {
    return this.#server.stop();
  }
}

function scriptPath(client) {
  return `/sockjs-${client.version}.js`;
}
