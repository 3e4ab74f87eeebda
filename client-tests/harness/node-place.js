// Where a client runs: this Node process.

import { Connection } from './connection.js';
import { clientOptions } from './patience.js';
import { connectRecorded } from './recorder.js';

export const nodeTransports = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];

export class NodePlace {
  #client;

  /** @param client one of clients.js */
  constructor(client) {
    this.#client = client;
    this.name = `client ${client.version} in Node`;
  }

  /** Starts to connect to the service at `url`; the options are those of clientOptions. */
  async connect(url, options) {
    const recorder = connectRecorded(this.#client.load(), url, clientOptions(options));
    return new Connection({
      ask: async (method, args) => recorder[method](...args),
      vanish: async (relay) => {
        relay.cut();
        // In the same turn, so that the client has no time to react to the cut by itself.
        recorder.close();
      },
      stop: async () => recorder.close(),
    });
  }
}
