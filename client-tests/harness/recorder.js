/**
 * Connects with a stock client, records what happens and lets it be awaited. The same function runs in Node and,
 * handed over as text, in pages; so it uses nothing from outside its own body.
 *
 * @param {Function} SockJS the client's constructor
 * @param {string} url
 * @param {{transports?: string[], timeout?: number}} options the client's own
 */
export function connectRecorded(SockJS, url, options) {
  const sock = new SockJS(url, null, options);

  // These versions do not know the option: their estimate of the round trip stands in for it.
  if (options.timeout && SockJS.version.startsWith('1.0.')) sock.countRTO = () => options.timeout;

  const seen = { transport: null, messages: [], heartbeats: 0, close: null };
  const watchers = new Set();

  const notify = () => [...watchers].forEach((watcher) => watcher());
  sock.onopen = () => {
    seen.transport = sock.transport;
    notify();
  };
  sock.onmessage = (event) => {
    seen.messages.push(event.data);
    notify();
  };
  sock.onheartbeat = () => {
    // The prelude of a stream reads as a heartbeat too, before the session is open.
    if (seen.transport) seen.heartbeats += 1;
    notify();
  };
  sock.onclose = ({ code, reason, wasClean }) => {
    seen.close = { code, reason, wasClean };
    notify();
  };

  /** Resolves with `value()` once it is not undefined; a close that was not awaited ends the wait. */
  const until = (what, ms, value) =>
    new Promise((resolve, reject) => {
      const settle = (outcome, result) => {
        clearTimeout(timer);
        watchers.delete(watcher);
        outcome(result);
      };
      const fail = (why) =>
        settle(
          reject,
          new Error(
            `${why} while waiting for ${what}; transport: ${seen.transport}, messages: ${seen.messages.length}, ` +
              `heartbeats: ${seen.heartbeats}, close: ${JSON.stringify(seen.close)}`,
          ),
        );
      const watcher = () => {
        const result = value();
        if (result !== undefined) settle(resolve, result);
        else if (seen.close) fail('the connection closed');
      };
      const timer = setTimeout(() => fail(`${ms} ms passed`), ms);
      watchers.add(watcher);
      watcher();
    });

  const send = (messages) => messages.forEach((message) => sock.send(message));
  const messages = (count, ms) =>
    until(`${count} messages`, ms, () => (seen.messages.length >= count ? seen.messages : undefined));

  return {
    /** Resolves with the name of the transport. */
    opened: (ms) => until('the open event', ms, () => seen.transport ?? undefined),

    /** Sends all messages at once. */
    send,

    /** Resolves with all messages received so far, once there are `count`. */
    messages,

    /** Sends one message after the other, each when an answer to the one before has come; resolves with all received. */
    converse: async (lines, ms) => {
      for (const line of lines) {
        const before = seen.messages.length;
        send([line]);
        await messages(before + 1, ms);
      }
      return seen.messages;
    },

    /** Resolves once `count` heartbeats were seen after the open event. */
    heartbeats: (count, ms) =>
      until(`${count} heartbeats`, ms, () => (seen.heartbeats >= count ? seen.heartbeats : undefined)),

    /** Resolves with `{code, reason, wasClean}`. */
    closed: (ms) => until('the close event', ms, () => seen.close ?? undefined),

    close: () => sock.close(),
  };
}
