// www/resume.js by itself: a client that the test plays, and timers that the test moves.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { ResumingSocket, newSecret } from '../../www/resume.js';

/** Stands for the stock client: the test says what happens to it. */
class Client {
  static made = [];
  readyState = 0;
  transport = 'websocket';
  sent = [];
  closes = [];

  constructor(url, protocols, options) {
    Object.assign(this, { url, protocols, options });
    Client.made.push(this);
  }

  static get newest() {
    return Client.made.at(-1);
  }

  /** One transport's attempt: the session segment of its URL, taken apart. */
  attempt() {
    const [secret, number, marker] = this.options.sessionId().split('~');
    return { secret, number: Number(number), marker };
  }

  open() {
    this.readyState = 1;
    this.onopen?.();
  }

  messages(...texts) {
    texts.forEach((data) => this.onmessage?.({ data }));
  }

  end(code, reason = '', wasClean = false) {
    this.readyState = 3;
    this.onclose?.({ code, reason, wasClean });
  }

  send(text) {
    this.sent.push(text);
  }

  close(code) {
    this.closes.push(code);
  }
}

const SETTINGS = { first: 1000, longest: 8000, hidden: 20_000, silence: 60_000, keep: 2 };

/** A socket whose events are written down. */
function start(options = {}) {
  const socket = new ResumingSocket(Client, '/chat', { ...SETTINGS, ...options });
  const events = [];
  for (const type of ['open', 'resumed', 'message', 'gap', 'close']) {
    socket.addEventListener(type, (event) => {
      const { data, replayed, code, reason, unsent } = event;
      const fields = Object.entries({ data, replayed, code, reason, unsent }).filter(
        ([, value]) => value !== undefined,
      );
      events.push([type, Object.fromEntries(fields)]);
    });
  }
  return { socket, events };
}

/** Loses the connection, and waits for the next attempt. */
function lose(code = 1006) {
  const before = Client.made.length;
  Client.newest.end(code);
  mock.timers.tick(SETTINGS.longest);
  assert.equal(Client.made.length, before + 1, 'another attempt');
}

beforeEach(() => {
  Client.made = [];
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
  mock.method(Math, 'random', () => 0.999);
});

afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
  delete globalThis.document;
});

describe('secrets', () => {
  test('a secret has 128 random bits in base64url', () => {
    const secrets = Array.from({ length: 50 }, newSecret);
    for (const secret of secrets) assert.match(secret, /^[\w-]{22}$/);
    assert.equal(new Set(secrets).size, 50);
  });

  test('each attempt of a transport has a higher number, and asks to resume once the session was had', () => {
    start({ sockjs: { transports: ['xhr-polling'] } });
    assert.deepEqual(Client.newest.options.transports, ['xhr-polling']);
    const first = Client.newest.attempt();
    assert.deepEqual([first.number, first.marker], [1, undefined]);
    const second = Client.newest.attempt();
    assert.deepEqual(second, { ...first, number: 2 });
    Client.newest.open();
    lose();
    assert.deepEqual(Client.newest.attempt(), { ...first, number: 3, marker: 'resume' });
  });

  test('an attempt that never opened asks for a new session still', () => {
    start();
    Client.newest.attempt();
    lose(1002);
    assert.equal(Client.newest.attempt().marker, undefined);
  });
});

describe('resuming', () => {
  test('what comes before the mark is replayed and counted', () => {
    const { socket, events } = start();
    Client.newest.open();
    Client.newest.onheartbeat();
    Client.newest.messages('1');
    lose();
    Client.newest.onheartbeat();
    Client.newest.open();
    Client.newest.messages('1', '2');
    assert.equal(socket.state, 'open');
    Client.newest.onheartbeat();
    Client.newest.messages('3');
    Client.newest.onheartbeat();
    assert.deepEqual(events, [
      ['open', {}],
      ['message', { data: '1', replayed: false }],
      ['message', { data: '1', replayed: true }],
      ['message', { data: '2', replayed: true }],
      ['resumed', { replayed: 2 }],
      ['message', { data: '3', replayed: false }],
    ]);
  });

  for (const code of [4501, 4504, 4506, 4507]) {
    test(`${code} is told as a gap, and a new session follows`, () => {
      const { events } = start();
      const { secret } = Client.newest.attempt();
      Client.newest.open();
      lose();
      Client.newest.end(code, 'why', true);
      mock.timers.tick(SETTINGS.longest);
      const next = Client.newest.attempt();
      assert.notEqual(next.secret, secret);
      assert.deepEqual([next.number, next.marker], [1, undefined]);
      Client.newest.open();
      assert.deepEqual(events.slice(1), [
        ['gap', { code, reason: 'why' }],
        ['open', {}],
      ]);
    });
  }

  test('a replay that never ends is told as a gap: the service does not resume', () => {
    const { events } = start();
    Client.newest.open();
    lose();
    Client.newest.open();
    mock.timers.tick(14_000);
    Client.newest.messages('late');
    mock.timers.tick(14_000);
    assert.equal(events.at(-1)[0], 'message');
    mock.timers.tick(1_000);
    assert.deepEqual(events.at(-1), ['gap', { code: 0, reason: 'The service does not resume sessions' }]);
  });

  for (const [code, clean] of [[1002], [1006], [2000], [3000], [2010, true], [4505, true]]) {
    test(`${code} is a lost connection`, () => {
      const { events } = start();
      Client.newest.open();
      Client.newest.end(code, '', clean);
      mock.timers.tick(SETTINGS.first);
      assert.equal(Client.made.length, 2);
      assert.equal(events.length, 1);
    });
  }

  for (const code of [1000, 3000, 4000, 4500, 4502, 4508]) {
    test(`${code}, said by the server, is the end`, () => {
      const { socket, events } = start();
      Client.newest.open();
      Client.newest.end(code, 'bye', true);
      mock.timers.tick(100_000);
      assert.equal(Client.made.length, 1);
      assert.equal(socket.state, 'closed');
      assert.deepEqual(events.at(-1), ['close', { code, reason: 'bye', unsent: [] }]);
      assert.throws(() => socket.send('x'), /closed/);
    });
  }
});

describe('pauses', () => {
  test('they double up to the longest, and begin anew after a connection that held', () => {
    start();
    const pauses = () => {
      Client.newest.end(1006);
      const made = Client.made.length;
      let pause = 0;
      while (Client.made.length === made) {
        mock.timers.tick(100);
        pause += 100;
      }
      return pause;
    };
    assert.deepEqual([1, 2, 3, 4, 5].map(pauses), [1000, 2000, 4000, 8000, 8000]);
    Client.newest.open();
    assert.equal(pauses(), 8000, 'a connection that breaks at once is not a good sign');
    Client.newest.open();
    mock.timers.tick(5_000);
    assert.equal(pauses(), 1000);
  });

  test('they are random from 0 on', () => {
    mock.method(Math, 'random', () => 0);
    start();
    Client.newest.end(1006);
    mock.timers.tick(0);
    assert.equal(Client.made.length, 2);
  });

  test('hidden pages try seldom, and at once when they are shown', () => {
    const page = Object.assign(new EventTarget(), { visibilityState: 'hidden' });
    globalThis.document = page;
    start();
    Client.newest.end(1006);
    mock.timers.tick(1000);
    assert.equal(Client.made.length, 2, 'the first attempt comes soon');
    Client.newest.end(1006);
    mock.timers.tick(SETTINGS.hidden);
    assert.equal(Client.made.length, 2);
    mock.timers.tick(SETTINGS.hidden);
    assert.equal(Client.made.length, 3);
    Client.newest.end(1006);
    page.dispatchEvent(new Event('visibilitychange'));
    assert.equal(Client.made.length, 3, 'still hidden');
    page.visibilityState = 'visible';
    page.dispatchEvent(new Event('visibilitychange'));
    assert.equal(Client.made.length, 4);
    page.dispatchEvent(new Event('visibilitychange'));
    mock.timers.tick(SETTINGS.longest);
    assert.equal(Client.made.length, 4, 'one at a time');
  });

  test('a silent connection is given up on, and closed only when another is open', () => {
    const { socket } = start();
    const silent = Client.newest;
    silent.open();
    mock.timers.tick(50_000);
    silent.onheartbeat();
    mock.timers.tick(50_000);
    assert.equal(socket.state, 'open');
    mock.timers.tick(10_000);
    assert.equal(socket.state, 'waiting');
    mock.timers.tick(SETTINGS.first);
    assert.equal(Client.made.length, 2);
    assert.equal(silent.options.sessionId(), 'abandoned~0', 'it does not take the session back');
    assert.deepEqual(silent.closes, []);
    Client.newest.open();
    assert.equal(silent.closes.length, 1);
  });

  test('an attempt that hangs is given up on too', () => {
    start();
    mock.timers.tick(60_000);
    mock.timers.tick(SETTINGS.first);
    assert.equal(Client.made.length, 2);
  });
});

describe('sending', () => {
  test('what is sent without a connection is kept, up to a number, and sent when there is one', () => {
    const { socket } = start();
    socket.send('1');
    socket.send('2');
    assert.throws(() => socket.send('3'), /2 messages are kept/);
    socket.addEventListener('open', () => socket.send('first'), { once: true });
    Client.newest.open();
    assert.deepEqual(Client.newest.sent, ['first', '1', '2']);
    lose();
    socket.send('4');
    Client.newest.open();
    socket.send('5');
    assert.deepEqual(Client.newest.sent, ['4', '5']);
  });

  test('a client that is closing takes nothing, so it is kept', () => {
    const { socket } = start();
    Client.newest.open();
    Client.newest.readyState = 2;
    socket.send('x');
    assert.deepEqual(Client.newest.sent, []);
    lose();
    Client.newest.open();
    assert.deepEqual(Client.newest.sent, ['x']);
  });

  test('what was never sent is handed back at the end', () => {
    const { socket, events } = start();
    socket.send('x');
    socket.close(3001, 'enough');
    assert.deepEqual(events, [['close', { code: 3001, reason: 'enough', unsent: ['x'] }]]);
    assert.deepEqual(Client.newest.closes, [3001]);
  });
});

describe('closing', () => {
  test('nothing follows, whatever happens to the connection', () => {
    const { socket, events } = start();
    const states = [];
    socket.addEventListener('state', ({ state }) => states.push(state));
    Client.newest.open();
    const { onclose } = Client.newest;
    socket.close();
    onclose({ code: 1006, reason: '', wasClean: false });
    socket.close();
    mock.timers.tick(100_000);
    assert.deepEqual(states, ['open', 'closed']);
    assert.deepEqual(
      events.map(([type]) => type),
      ['open', 'close'],
    );
    assert.equal(Client.made.length, 1);
  });

  test('while it waits, no attempt follows', () => {
    const { socket } = start();
    Client.newest.end(1006);
    socket.close();
    mock.timers.tick(100_000);
    assert.equal(Client.made.length, 1);
  });

  test('a handler of a gap may close', () => {
    const { socket, events } = start();
    socket.addEventListener('gap', () => socket.close());
    Client.newest.open();
    Client.newest.end(4504, 'missed', true);
    mock.timers.tick(100_000);
    assert.equal(Client.made.length, 1);
    assert.equal(events.at(-1)[0], 'close');
  });
});
