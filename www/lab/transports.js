// The transports of the stock client: their names, what they are, and why one may be unavailable here.

export const AUTOMATIC = 'automatic';

const inPage = {
  websocket: typeof WebSocket === 'function',
  eventSource: typeof EventSource === 'function',
  xhr: typeof XMLHttpRequest === 'function',
  postMessage: typeof globalThis.postMessage === 'function',
};

// `framing` is what the transport adds to each frame on its way down, in bytes: it is only used for a response
// that is still running, which the browser does not measure yet. `prelude` is what a response starts with and
// does not show up as a frame.
export const TRANSPORTS = [
  {
    name: 'websocket',
    about: 'One socket carries both directions. The lowest cost per message.',
    streams: true,
    prelude: 0,
    framing: (size) => (size < 126 ? 2 : size < 65_536 ? 4 : 10),
  },
  {
    name: 'xhr-streaming',
    about: 'One long response brings frames as they happen; messages go up in short requests of their own.',
    streams: true,
    prelude: 0,
    framing: () => 1,
  },
  {
    name: 'eventsource',
    about: 'Frames come as server-sent events; messages go up in short requests of their own.',
    streams: true,
    prelude: 2,
    framing: () => 10,
  },
  {
    name: 'iframe-eventsource',
    about: "Server-sent events inside a hidden frame from the server's origin, for pages of another origin.",
    streams: true,
    prelude: 2,
    framing: () => 10,
  },
  {
    name: 'htmlfile',
    about: 'A hidden frame loads a page that never ends; each frame is a small script in it.',
    streams: true,
    prelude: 1024,
    framing: () => 26,
  },
  {
    name: 'iframe-htmlfile',
    about: "The never-ending page, inside a hidden frame from the server's origin.",
    streams: true,
    prelude: 1024,
    framing: () => 26,
  },
  {
    name: 'xhr-polling',
    about: 'Each request waits until there is something to say; the answer ends it and the next one follows.',
    streams: false,
  },
  {
    name: 'iframe-xhr-polling',
    about: "Polling inside a hidden frame from the server's origin, for pages of another origin.",
    streams: false,
  },
  {
    name: 'jsonp-polling',
    about: 'Each poll is a script tag and each message a form: nothing else is asked of the browser.',
    streams: false,
  },
];

const ABOUT_AUTOMATIC =
  'The client tries WebSocket first and falls back, one by one, to what the network lets through.';

export function transportNamed(name) {
  return TRANSPORTS.find((transport) => transport.name === name);
}

export function aboutTransport(name) {
  return transportNamed(name)?.about ?? ABOUT_AUTOMATIC;
}

/**
 * Why a transport cannot work here, or null when it can.
 *
 * `info` is the service's own description (null while it is unknown), `sameOrigin` whether it is of this page's origin.
 */
export function unavailableBecause(name, { info, sameOrigin }) {
  const inFrame = name.startsWith('iframe-');
  if (name === 'websocket' && info?.websocket === false) return 'the server has switched it off';
  if (name === 'websocket' && !inPage.websocket) return 'this browser has no WebSocket';
  if (name.endsWith('eventsource') && !inPage.eventSource) return 'this browser has no EventSource';
  if (name.includes('xhr') && !inPage.xhr) return 'this browser has no XMLHttpRequest';
  if (inFrame && !inPage.postMessage) return 'this browser cannot send messages between frames';
  if (name === 'htmlfile' && !sameOrigin) return "it works only with a server of this page's origin";
  return null;
}

/** The service's description, or null when it does not answer within `timeout` milliseconds. */
export async function fetchInfo(serviceUrl, timeout = 8_000) {
  try {
    const answer = await fetch(`${serviceUrl}/info`, { cache: 'no-store', signal: AbortSignal.timeout(timeout) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}
