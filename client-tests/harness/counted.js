/**
 * A client that comes back by itself, and accounts for numbered messages. The same function runs in Node and, handed over
 * as text, in pages; so it uses nothing from outside its own body.
 *
 * @param {Function} SockJS the stock client's constructor
 * @param {Function} ResumingSocket of www/resume.js
 * @param {string} url
 * @param {object} options of ResumingSocket
 * @param {string[][]} transports what each connection may use, one after the other and over again
 */
export function connectCounted(SockJS, ResumingSocket, url, options, transports) {
  let connections = 0;
  const sockjs = {
    timeout: 12_000,
    get transports() {
      return transports[connections++ % transports.length];
    },
  };
  const seen = { newest: 0, last: 0, repeated: 0, repeatedUntold: 0, wrong: [], replayed: 0, resumes: 0 };
  const gaps = [];
  const used = [];
  const watchers = new Set();
  const notify = () => [...watchers].forEach((watcher) => watcher());

  const socket = new ResumingSocket(SockJS, url, { ...options, sockjs });
  let welcome = false;
  let replaying = false;
  const opened = ({ transport }) => {
    used.push(transport);
    // Its echo shows that the session is subscribed.
    if (!welcome) socket.send('welcome');
    notify();
  };
  socket.addEventListener('open', opened);
  socket.addEventListener('resumed', (event) => {
    seen.resumes += 1;
    replaying = false;
    seen.replayed += event.replayed;
    opened(event);
  });
  socket.addEventListener('gap', ({ code, reason }) => gaps.push({ code, reason, after: seen.newest }));
  socket.addEventListener('message', ({ data, replayed }) => {
    replaying = replayed;
    if (data === 'welcome') {
      welcome = true;
    } else {
      // What is replayed may begin anywhere before; everything else comes one after the other.
      const number = Number(data);
      if (number > seen.last + 1) seen.wrong.push(`${number} after ${seen.last}`);
      if (number <= seen.newest) {
        seen.repeated += 1;
        if (!replayed) seen.repeatedUntold += 1;
      }
      seen.last = number;
      seen.newest = Math.max(seen.newest, number);
    }
    notify();
  });

  const until = (what, ms, is) =>
    new Promise((resolve, reject) => {
      const watcher = () => {
        if (!is()) return;
        clearTimeout(timer);
        watchers.delete(watcher);
        resolve();
      };
      const timer = setTimeout(() => {
        watchers.delete(watcher);
        reject(
          new Error(`waited ${ms} ms for ${what}: ${JSON.stringify({ ...seen, gaps, used, state: socket.state })}`),
        );
      }, ms);
      watchers.add(watcher);
      watcher();
    });

  return {
    /** Resolves once the session is open and subscribed. */
    ready: (ms) => until('the first message', ms, () => welcome),

    /** Resolves once this number has come, and the end of its replay. */
    received: (number, ms) => until(`number ${number}`, ms, () => seen.newest >= number && !replaying),

    /** Resolves once a gap was told. */
    gap: (ms) => until('a gap', ms, () => gaps.length > 0),

    /** What came. */
    account: () => ({ ...seen, gaps, used }),

    close: () => socket.close(),
  };
}
