// What travels through the room: small JSON objects that pages make and pages check.
//
// The server passes on whatever anyone sends, so everything that comes in is taken for a stranger's text: its shape,
// its types and its length are checked here, and anything else is no message.

export const NAME_LIMIT = 24;
export const TEXT_LIMIT = 500;
const WIRE_LIMIT = 8_192;
const KINDS = new Set(['join', 'say', 'leave']);

export function encodeRoomMessage({ kind, from, name, via, text = '' }) {
  return JSON.stringify({ kind, from, name: name.slice(0, NAME_LIMIT), via, text: text.slice(0, TEXT_LIMIT) });
}

/** The message in `wire`, or null when it is none. */
export function decodeRoomMessage(wire) {
  if (wire.length > WIRE_LIMIT) return null;
  let message;
  try {
    message = JSON.parse(wire);
  } catch {
    return null;
  }
  if (message === null || typeof message !== 'object') return null;
  const { kind, from, name, via, text } = message;
  const strings = [from, name, via, text].every((part) => typeof part === 'string');
  if (!KINDS.has(kind) || !strings || name.trim() === '') return null;
  if (name.length > NAME_LIMIT || text.length > TEXT_LIMIT || from.length > 64 || via.length > 32) return null;
  return { kind, from, name: name.trim(), via, text };
}
