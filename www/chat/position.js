// Positions of messages, as STOMP's message-id tells them: `EPOCH-SEQ`. Each message has the next seq, so that positions say how many messages lie between two, and whether one is missing.

/** `{epoch, seq, text}`, or null for what is none. */
export function parsePosition(text) {
  const parts = /^([0-9a-f]+)-(\d+)$/.exec(text ?? '');
  return parts && { epoch: parts[1], seq: Number(parts[2]), text };
}

/**
 * How many messages lie behind `from` up to `to`; null where the two cannot be compared. A new epoch goes on counting,
 * unless everything was lost before it: then it begins anew.
 */
export function distance(from, to) {
  if (!from || !to) return null;
  const steps = to.seq - from.seq;
  return from.epoch === to.epoch || steps >= 0 ? steps : null;
}

/** Whether `position` is at `goal` or behind it. */
export function hasReached(position, goal) {
  return goal === null || (distance(goal, position) ?? -1) >= 0;
}
