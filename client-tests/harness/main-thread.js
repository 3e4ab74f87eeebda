// How long the tasks of a page's main thread take: by the clock, and in processor time, which other programs do not
// lengthen.

import { once } from 'node:events';

const CATEGORIES = ['toplevel', '__metadata'];

/** Watches the pages of a browser until `end()`, which resolves with `[{ms, processorMs}]`, a task each. */
export async function watchMainThreads(browser) {
  const session = await browser.newSession();
  const [tasks, mains] = [[], new Set()];
  session.on('Tracing.dataCollected', ({ value }) => {
    for (const event of value) {
      if (event.name === 'thread_name' && event.args.name === 'CrRendererMain') mains.add(`${event.pid} ${event.tid}`);
      if (event.name.endsWith('RunTask') && event.tdur !== undefined) tasks.push(event);
    }
  });
  await session.send('Tracing.start', {
    transferMode: 'ReportEvents',
    traceConfig: { includedCategories: CATEGORIES },
  });
  const end = async () => {
    const complete = once(session, 'Tracing.tracingComplete');
    await session.send('Tracing.end');
    await complete;
    await session.detach();
    return tasks
      .filter(({ pid, tid }) => mains.has(`${pid} ${tid}`))
      .map(({ dur, tdur }) => ({ ms: dur / 1000, processorMs: tdur / 1000 }));
  };
  return { end };
}
