// Plain HTTP requests, each on a connection of its own: a receiver or a look at /info without a SockJS client.

import { request } from 'node:http';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { within } from './deadline.js';

/** Sends a request and resolves with its whole answer as `{status, headers, body}`. */
export async function fetchRaw(method, url, { body, ms = 10_000 } = {}) {
  const outgoing = request(url, { method, agent: false });
  const answer = (async () => {
    const [incoming] = await once(outgoing, 'response');
    return { status: incoming.statusCode, headers: incoming.headers, body: await text(incoming) };
  })();
  outgoing.end(body);
  try {
    return await within(ms, `the answer to ${method} ${url}`, answer);
  } finally {
    outgoing.destroy();
  }
}
