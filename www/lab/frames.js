// What a frame is, told by its first letter.

const KINDS = { o: 'open', h: 'heartbeat', a: 'messages', m: 'message', c: 'close' };

/** The kind of a frame that came from the server. */
export function kindOf(frame) {
  // A streaming response starts with a run of `h` that fills the buffers of old browsers.
  if (frame.length > 1 && frame[0] === 'h') return 'prelude';
  return KINDS[frame[0]] ?? 'unknown';
}

/** The first `limit` characters, and how many were left out. */
export function excerpt(text, limit) {
  if (text.length <= limit) return { shown: text, hidden: 0 };
  // Not in the middle of a surrogate pair: half of one would be shown as a replacement character.
  const last = text.charCodeAt(limit - 1);
  const end = last >= 0xd800 && last <= 0xdbff ? limit - 1 : limit;
  return { shown: text.slice(0, end), hidden: text.length - end };
}
