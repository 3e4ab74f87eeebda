// What happens to a cluster while its clients talk.

import { setTimeout as pause } from 'node:timers/promises';

/** Nothing at all. */
export const calm = {
  name: 'calm',
  text: 'nothing happens',
  happen: (_cluster, seconds) => pause(seconds * 1_000),
};

/** One node after the other drains, ends, and comes back. */
export const drains = {
  name: 'drains',
  text: 'each node in turn drains, ends and starts again',
  happen: (cluster, seconds) =>
    inTurn(cluster, seconds, 2_500, async (node) => {
      await node.drain();
      await node.start();
    }),
};

/**
 * One node after the other is killed with SIGKILL, and comes back. In between is time for what a dead node was doing to be
 * done elsewhere, which waits for its lease to end: a request that dies with three nodes is given up by the balancer.
 */
export const kills = {
  name: 'kills',
  text: 'each node in turn is killed and starts again',
  happen: (cluster, seconds) =>
    inTurn(cluster, seconds, cluster.lease * 1_000 + 1_500, async (node) => {
      await node.kill();
      await node.start();
    }),
};

/** One node after the other stands still for longer than its lease. */
export const stops = {
  name: 'stops',
  text: 'each node in turn is stopped for longer than its lease, then continued',
  happen: (cluster, seconds) =>
    inTurn(cluster, seconds, 3_000, async (node) => {
      node.signal('SIGSTOP');
      await pause(cluster.lease * 1_000 + 1_500);
      node.signal('SIGCONT');
      await node.ready();
    }),
};

async function inTurn({ nodes }, seconds, rest, happen) {
  const end = Date.now() + seconds * 1_000;
  for (let turn = 0; Date.now() < end; turn += 1) {
    await happen(nodes[turn % nodes.length]);
    await pause(rest);
  }
}
