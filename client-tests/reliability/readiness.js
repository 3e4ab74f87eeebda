// Watches what the nodes of a cluster say of their readiness.

import { setTimeout as pause } from 'node:timers/promises';

const LOOK_MS = 100;

/** Starts to watch; `stop()` resolves with the longest time, in seconds, for which a node was not ready. */
export function watchReadiness({ nodes }) {
  let isOver = false;
  const watching = nodes.map(async (node) => {
    let longest = 0;
    let since = null;
    while (!isOver) {
      const asked = Date.now();
      if (await node.isReady()) since = null;
      else longest = Math.max(longest, Date.now() - (since ??= asked));
      await pause(LOOK_MS);
    }
    return longest;
  });
  return {
    stop: async () => {
      isOver = true;
      return Math.max(...(await Promise.all(watching))) / 1_000;
    },
  };
}
