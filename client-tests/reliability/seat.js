/**
 * One client of the ledger, who opens another session when one has ended, and sends numbered messages. The same function
 * runs in Node and, handed over as text, in pages; so it uses nothing from outside its own body.
 *
 * @param {Function} SockJS the client's constructor
 * @param {{url: string, transport: string, name: string}} seat
 */
export function takeSeat(SockJS, { url, transport, name }) {
  const COME_BACK_MS = 200;
  const PATIENCE_MS = 12_000;
  // Every so many messages, one is given time: a handler call that lasts can be hit by what happens meanwhile.
  const LONG_EVERY = 5;
  const LONG_MS = 400;

  const sessions = [];
  const unopened = [];
  let sock = null;
  let timer = null;
  let isHere = true;

  const connect = () => {
    const session = {
      name: `${name}.${sessions.length + 1}`,
      transport,
      named: false,
      early: false,
      sent: 0,
      got: [],
      closed: null,
      reason: null,
    };
    sessions.push(session);
    sock = new SockJS(`${url}/ledger`, null, { transports: [transport], timeout: PATIENCE_MS });
    sock.onopen = () => sock.send(`name ${session.name}`);
    sock.onmessage = ({ data }) => {
      session.got.push(data);
      session.named ||= data.startsWith('told ') && data.includes(` name ${session.name} #`);
    };
    sock.onclose = ({ code, reason }) => {
      if (!isHere) return;
      session.closed = code;
      session.reason = reason;
      if (!session.named) unopened.push({ transport, code, reason });
      setTimeout(() => isHere && connect(), COME_BACK_MS);
    };
  };
  connect();

  const send = () => {
    const session = sessions.at(-1);
    if (!session.named || session.closed !== null) return;
    session.sent += 1;
    const text = `${session.name}:${session.sent}`;
    sock.send(session.sent % LONG_EVERY === 0 ? `wait ${LONG_MS} ${text}` : text);
  };

  return {
    /** What happened so far: all sessions that were open, and attempts that failed. */
    look: () => ({ sessions: sessions.filter(({ named }) => named), unopened }),

    /** Sends a message each so many milliseconds from now on, not in step with others. What comes now is early. */
    speak: (ms) => {
      sessions.at(-1).early = true;
      timer = setTimeout(() => {
        send();
        timer = setInterval(send, ms);
      }, Math.random() * ms);
    },

    hush: () => {
      clearTimeout(timer);
      clearInterval(timer);
    },

    leave: () => {
      isHere = false;
      sock.close();
    },
  };
}
