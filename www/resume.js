// A stock SockJS client that comes back by itself, and goes on with its session where the service has --resume.
//
//   import { ResumingSocket } from './resume.js';
//
//   const socket = new ResumingSocket(SockJS, '/chat');
//   socket.addEventListener('message', ({ data }) => show(data));
//   socket.addEventListener('gap', () => reload());
//   socket.send('hello');
//
// SockJS is the constructor of sockjs-client 1.x, which is loaded as ever: by a script element or from npm.
//
// Events, all of them Events of an EventTarget:
//
//   open     {transport}            A new session is open: the first, or one after a gap.
//   resumed  {replayed, transport}  The session goes on; `replayed` messages came for what was missed.
//   message  {data, replayed}       A message; `replayed` says that it was among those.
//   gap      {code, reason}         Messages were missed, or what they belonged to is gone: a new session follows, with
//                                   another `open`, and the page has to fetch what it needs to know anew.
//   close    {code, reason, unsent} The end: close() was called, or the application closed the session. `unsent` is
//                                   what send() had kept. Nothing follows.
//   state    {state}                `connecting`, `open`, `waiting` (for the next attempt) or `closed`.
//
// What is promised: messages come in order and at least once. After a loss some of the last may come again, so whoever
// must not see one twice gives it a number. Without --resume at the service, each loss that is followed by silence ends in
// a `gap`.
//
// What is sent: while there is no connection, send() keeps messages, `keep` of them, and throws beyond; they go out once
// the session is open again, new or resumed. What had been handed to a connection that then broke may have arrived or
// not, and is not sent again: SockJS does not say. Where that matters, the application answers, and the page asks again.

const DEFAULTS = {
  /** Options for SockJS itself, such as `transports` or `timeout`. */
  sockjs: {},
  /** The longest pause before the first attempt after a loss, in ms. Pauses are random, and double up to `longest`. */
  first: 500,
  longest: 30_000,
  /** The shortest pause between attempts of a page that is hidden, after its first. */
  hidden: 30_000,
  /** How long a connection may be silent before it counts as lost; well above the service's heartbeat (25 s). */
  silence: 60_000,
  /** Messages that send() keeps while there is no connection. */
  keep: 100,
};

/** Ends of a session, told by the server, after which the client needs another: see the README's close codes. */
const GAPS = new Set([4501, 4504, 4506, 4507]);

/** Ends of a connection, told by the server, after which the session goes on. */
const PASSING = new Set([2010, 4505]);

/** How long a connection must hold until the next loss counts as the first, in ms. */
const STEADY = 5_000;

/** How long the end of a replay may take, without any message. */
const REPLAY_SILENCE = 15_000;

/** Connections that were given up on and are closed when another is open, at most. */
const MOST_ABANDONED = 4;

/** An id that every service with --resume refuses: what was given up on must not take the session from its successor. */
const NO_SESSION = "abandoned~0";

/** The readyState of a SockJS object that is open. */
const OPEN = 1;

class ResumeEvent extends Event {
  constructor(type, fields) {
    super(type);
    Object.assign(this, fields);
  }
}

/** 128 random bits, as the session's secret. */
export function newSecret() {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

export class ResumingSocket extends EventTarget {
  #SockJS;
  #url;
  #options;

  #state = "connecting";
  #secret = newSecret();
  /** Attempts made with this secret. */
  #attempts = 0;
  /** Whether the session has been open: from then on, that it is gone has to be told. */
  #had = false;
  /** The replay under way: how many messages it has brought. */
  #replay = null;
  #kept = [];

  /** The SockJS object in use; the one before may still believe that it is open. */
  #connection = null;
  #abandoned = [];
  /** Losses since the last connection that held. */
  #losses = 0;
  #opened = 0;

  #retry = null;
  #silence = null;
  #wake = () => this.#attemptSoon();

  /**
   * @param {Function} SockJS the constructor of a stock sockjs-client
   * @param {string} url the service's
   * @param {Partial<typeof DEFAULTS>} [options]
   */
  constructor(SockJS, url, options = {}) {
    super();
    this.#SockJS = SockJS;
    this.#url = url;
    this.#options = { ...DEFAULTS, ...options };
    for (const [target, event] of wakeUps())
      target.addEventListener(event, this.#wake);
    this.#connect();
  }

  /** `connecting`, `open`, `waiting` or `closed`. */
  get state() {
    return this.#state;
  }

  /** The name of the transport in use, or null. */
  get transport() {
    return this.#state === "open" ? this.#connection.transport : null;
  }

  /**
   * Sends a message, or keeps it until the session is open.
   *
   * @throws {Error} when this is closed, or as many are kept as may be
   */
  send(text) {
    if (this.#state === "closed") throw new Error("the connection is closed");
    if (this.#state === "open" && this.#connection.readyState === OPEN) {
      this.#connection.send(text);
    } else if (this.#kept.length < this.#options.keep) {
      this.#kept.push(text);
    } else {
      throw new Error(
        `not connected, and ${this.#kept.length} messages are kept already`,
      );
    }
  }

  /** Ends connection and session: that of a WebSocket at once, any other when its time to be resumed is over. */
  close(code = 1000, reason = "Normal closure") {
    if (this.#state === "closed") return;
    const connection = this.#release();
    this.#finish(code, reason);
    connection?.close(code, reason);
  }

  #connect() {
    this.#retry = null;
    this.#become("connecting");
    const sessionId = () =>
      this.#connection === connection ? this.#id() : NO_SESSION;
    const connection = new this.#SockJS(this.#url, null, {
      ...this.#options.sockjs,
      sessionId,
    });
    this.#connection = connection;
    // Also while it tries one transport after the other: a connection that says nothing at all is none.
    this.#listen();
    const ifInUse = (listener) => (event) =>
      this.#connection === connection && listener(event);
    connection.onopen = ifInUse(() => this.#open());
    connection.onmessage = ifInUse(({ data }) => this.#message(data));
    connection.onheartbeat = ifInUse(() => this.#heartbeat());
    connection.onclose = ifInUse((event) => this.#closed(event));
  }

  /** What the next attempt of the client, one a transport, calls its session. */
  #id() {
    this.#attempts += 1;
    return `${this.#secret}~${this.#attempts}${this.#had ? "~resume" : ""}`;
  }

  #open() {
    this.#abandoned.splice(0).forEach((connection) => connection.close());
    this.#opened = Date.now();
    this.#replay = this.#had ? 0 : null;
    this.#had = true;
    this.#state = "open";
    this.#listen();
    if (this.#replay === null)
      this.#tell("open", { transport: this.#connection.transport });
    // Behind what the page has just sent in answer to that.
    while (this.#state === "open" && this.#kept.length > 0)
      this.#connection.send(this.#kept.shift());
    if (this.#state === "open") this.#tell("state", { state: "open" });
  }

  #message(data) {
    if (this.#replay !== null) this.#replay += 1;
    this.#listen();
    this.#tell("message", { data, replayed: this.#replay !== null });
  }

  /** The first after a session was resumed says that all it had missed has been replayed. */
  #heartbeat() {
    this.#listen();
    if (this.#state !== "open" || this.#replay === null) return;
    const replayed = this.#replay;
    this.#replay = null;
    this.#listen();
    this.#tell("resumed", { replayed, transport: this.#connection.transport });
  }

  /** Whatever comes shows that the connection lives. */
  #listen() {
    clearTimeout(this.#silence);
    const replaying = this.#state === "open" && this.#replay !== null;
    const patience = replaying
      ? Math.min(REPLAY_SILENCE, this.#options.silence)
      : this.#options.silence;
    this.#silence = setTimeout(
      () => this.#silent(replaying && patience < this.#options.silence),
      patience,
    );
  }

  #silent(replaying) {
    if (replaying) {
      this.#replay = null;
      this.#listen();
      this.#tell("gap", {
        code: 0,
        reason: "The service does not resume sessions",
      });
      return;
    }
    // Not closed yet: a WebSocket that still lives would take that for the end of the session.
    this.#abandoned.push(this.#release());
    if (this.#abandoned.length > MOST_ABANDONED)
      this.#abandoned.shift().close();
    this.#wait();
  }

  #closed({ code, reason, wasClean }) {
    this.#release();
    if (wasClean && GAPS.has(code)) {
      this.#secret = newSecret();
      this.#attempts = 0;
      this.#had = false;
      this.#tell("gap", { code, reason });
      if (this.#state !== "closed") this.#wait();
    } else if (wasClean && !PASSING.has(code)) {
      this.#finish(code, reason);
    } else {
      this.#wait();
    }
  }

  #wait() {
    if (this.#opened > 0 && Date.now() - this.#opened >= STEADY)
      this.#losses = 0;
    this.#opened = 0;
    this.#replay = null;
    const { first, longest, hidden } = this.#options;
    // All of it random: pages that lost the same server must not come back in one moment.
    let pause = Math.random() * Math.min(longest, first * 2 ** this.#losses);
    if (isHidden() && this.#losses > 0)
      pause = Math.max(pause, hidden * (1 + Math.random()));
    if (isOffline()) pause = longest;
    this.#losses += 1;
    this.#retry = setTimeout(() => this.#connect(), pause);
    this.#become("waiting");
  }

  /** The page is shown or online again. */
  #attemptSoon() {
    if (this.#state !== "waiting" || isHidden() || isOffline()) return;
    clearTimeout(this.#retry);
    this.#connect();
  }

  /** Hears no more of the connection in use; hands it back. */
  #release() {
    clearTimeout(this.#silence);
    const connection = this.#connection;
    this.#connection = null;
    return connection;
  }

  #finish(code, reason) {
    clearTimeout(this.#retry);
    for (const [target, event] of wakeUps())
      target.removeEventListener(event, this.#wake);
    this.#abandoned.splice(0).forEach((connection) => connection.close());
    this.#become("closed");
    this.#tell("close", { code, reason, unsent: this.#kept.splice(0) });
  }

  #become(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.#tell("state", { state });
  }

  #tell(type, fields) {
    this.dispatchEvent(new ResumeEvent(type, fields));
  }
}

function isHidden() {
  return globalThis.document?.visibilityState === "hidden";
}

function isOffline() {
  return globalThis.navigator?.onLine === false;
}

/** What says that an attempt may succeed, or is wanted, now. */
function wakeUps() {
  const { window, document } = globalThis;
  const all = [
    [window, "online"],
    [window, "pageshow"],
    [document, "visibilitychange"],
  ];
  return all.filter(([target]) => target);
}
