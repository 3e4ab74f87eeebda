// What happens to the Redis of a cluster while its clients talk. Each comes when a third of the time has passed.

import { setTimeout as pause } from 'node:timers/promises';

const AGAIN_MS = 1_000;
const STOPPED_MS = 5_000;

/** Redis crashes and comes back with what it had: every write was on disk before it was answered. */
export const restart = event('restart', 'killed and started again, AOF always', ({ redis }) => redis.restart());

/** All Pub/Sub connections are closed, again and again. */
export const unsubscribe = event('unsubscribe', '`CLIENT KILL TYPE pubsub`, five times', ({ redis }) =>
  again(5, () => redis.ask('CLIENT', 'KILL', 'TYPE', 'pubsub')),
);

/** All other connections are closed, again and again. */
export const disconnect = event('disconnect', '`CLIENT KILL TYPE normal`, five times', ({ redis }) =>
  again(5, () => redis.ask('CLIENT', 'KILL', 'TYPE', 'normal')),
);

/** Redis stands still for less than a lease. */
export const freeze = event('freeze', 'SIGSTOP for 5 s', async ({ redis }) => {
  redis.signal('SIGSTOP');
  await pause(STOPPED_MS);
  redis.signal('SIGCONT');
});

/** All data are gone. */
export const flush = event('flush', '`FLUSHALL`', ({ redis }) => redis.ask('FLUSHALL'));

function event(name, text, hurt) {
  const happen = async (cluster, seconds) => {
    const end = Date.now() + seconds * 1_000;
    await pause((seconds * 1_000) / 3);
    await hurt(cluster);
    await pause(Math.max(0, end - Date.now()));
  };
  return { name, text, happen };
}

async function again(times, hurt) {
  for (let time = 0; time < times; time += 1) {
    await hurt();
    await pause(AGAIN_MS);
  }
}
