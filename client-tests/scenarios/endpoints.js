// What a transport's name means on the wire.

const RECEIVERS = {
  websocket: 'websocket',
  'xhr-streaming': 'xhr_streaming',
  eventsource: 'eventsource',
  htmlfile: 'htmlfile',
  'xhr-polling': 'xhr',
  'jsonp-polling': 'jsonp',
};
const STREAMS = ['xhr_streaming', 'eventsource', 'htmlfile'];
const POLLS = ['xhr', 'jsonp'];

/** The last path segment of the transport's receivers. */
export function receiverEndpoint(transport) {
  return RECEIVERS[transport.replace(/^iframe-/, '')];
}

/** Does one response carry many frames, up to the response limit? */
export function isStream(transport) {
  return STREAMS.includes(receiverEndpoint(transport));
}

/** Does each frame end its response? */
export function isPoll(transport) {
  return POLLS.includes(receiverEndpoint(transport));
}

/**
 * Resolves with the receiver that waits at the server, `{path, connection}`, once it does: the first one, or with
 * polls the second, as the first is answered at once by the open frame.
 */
export async function waitingReceiver(relay, transport) {
  const endpoint = receiverEndpoint(transport);
  await relay.seen(endpoint, isPoll(transport) ? 2 : 1);
  return relay.requests(endpoint).at(-1);
}
