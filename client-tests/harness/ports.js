// Ports that stay free while nobody listens on them, for servers that come back to their place.

import { createServer } from 'node:net';
import { once } from 'node:events';
import { randomInt } from 'node:crypto';

// Below what the system gives to outgoing connections, one of which could take a port while its server is away.
const FIRST = 10_240;
const LAST = 32_000;

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort() {
  for (;;) {
    const port = randomInt(FIRST, LAST);
    const probe = createServer();
    try {
      probe.listen(port, '127.0.0.1');
      await once(probe, 'listening');
    } catch (error) {
      if (error.code === 'EADDRINUSE') continue;
      throw error;
    }
    probe.close();
    await once(probe, 'close');
    return port;
  }
}
