// What there is to say of a loss of the connection once it is over.

/** How long it took, what came meanwhile, and whether all of it is here. */
export function backText({ took, came, gone }, speech) {
  const time = speech.span(took);
  if (came === null) return speech.say('backGone', time);
  if (gone > 0) return speech.say('backGap', time, came, gone);
  return came === 0 ? speech.say('back0', time) : speech.say('backSome', time, came);
}

/** From where to where one has moved; null where nothing changed, or nothing is known. */
export function movedText({ from, to }, speech, whereabouts) {
  const [before, now] = [from, to].map((place) => placeParts(place, speech, whereabouts).join(' · '));
  return before === now ? null : speech.say('moved', before, now);
}

/** A transport, and the node where it is known. */
export function placeParts({ transport, node }, speech, whereabouts) {
  return [transport, nodeText(node, speech, whereabouts)].filter((part) => part !== null);
}

/** A node by its number in the cluster, or by its id; null where it is not known. */
export function nodeText(node, speech, whereabouts) {
  if (node === null) return null;
  return speech.say('nodeNamed', whereabouts.numberOf(node) ?? node.slice(0, 6));
}
