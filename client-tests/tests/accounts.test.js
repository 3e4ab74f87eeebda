// The accounts of messages, on records in which something went wrong.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { accountsOf, commonOrder } from '../reliability/accounts.js';
import { broken, promisedOf } from '../reliability/promises.js';
import { accountOf as stompAccountOf } from '../reliability/stomp-account.js';
import { queueAccountOf, queueBreaches } from '../reliability/stomp-queue-account.js';
import { withStompPart } from '../reliability/stomp-document.js';

const published = (...numbers) => numbers.map((number) => `published n-${number} p1:${number}`);
const told = (...numbers) => numbers.map((number) => `told m-${number} s:${number} #1`);

/** The account of a session, of which `record` says what is special, beside one that saw messages 1 to 4. */
function accountOf(record) {
  const well = { early: true, closed: null, isHung: false, endsTold: 0, sent: 0, got: published(1, 2, 3, 4) };
  const sessions = [
    { ...well, name: 'other', transport: 'other' },
    { ...well, name: 's', transport: 'one', ...record },
  ];
  return accountsOf(sessions, ({ transport }) => transport).groups.get('one');
}

describe('accounts', () => {
  test('a session that got everything once and in order lacks nothing', () => {
    const account = accountOf({ sent: 2, got: [...published(1, 2), ...told(1, 2), ...published(3, 4)] });
    assert.deepEqual(broken(account, promisedOf('calm', 'Node', 'xhr-polling')), []);
    assert.equal(account.delivered, 6);
  });

  const wrongs = {
    'a hole in the middle': [{ got: published(1, 2, 4) }, { lost: 1 }],
    'a missing beginning': [{ got: published(2, 3, 4) }, { lost: 1 }],
    'a missing end': [{ got: published(1, 2, 3) }, { lost: 1 }],
    'an answer that never came': [{ sent: 2, got: [...published(1, 2, 3, 4), ...told(1)] }, { lost: 1 }],
    'a message that came twice': [{ got: published(1, 2, 2, 3, 4) }, { repeated: 1 }],
    'messages in another order': [{ got: published(1, 3, 2, 4) }, { reordered: 1 }],
    'answers in another order': [{ sent: 2, got: [...published(1, 2, 3, 4), ...told(2, 1)] }, { reordered: 1 }],
    'a message that was handled twice': [
      { sent: 1, got: [...published(1, 2, 3, 4), ...told(1), 'told m-9 s:1 #1'] },
      { handledAgain: 1 },
    ],
    'an end': [{ closed: 1006, endsTold: 1 }, { ends: { 1006: 1 } }],
    'an end that the service was not told of': [{ closed: 1006 }, { ends: { 1006: 1 }, endsMissing: 1 }],
    'an end that it was told of twice': [
      { closed: 1006, endsTold: 2 },
      { ends: { 1006: 1 }, endsAgain: 1 },
    ],
    'an end that the client did not notice': [
      { isHung: true, endsTold: 1, sent: 1, got: published(1, 2) },
      { hung: 1 },
    ],
  };
  for (const [name, [record, expected]] of Object.entries(wrongs)) {
    test(`${name} is in the account, and breaks the promise`, () => {
      const account = accountOf(record);
      const { clients, delivered, ...found } = account;
      assert.deepEqual([clients, delivered], [1, record.got?.length ?? 4]);
      const seen = Object.entries(found).filter(([key, value]) => (key === 'ends' ? Object.keys(value).length : value));
      assert.deepEqual(Object.fromEntries(seen), expected);
      assert.notDeepEqual(broken(account, promisedOf('calm', 'Node', 'xhr-polling')), []);
    });
  }

  test('what an ended session did not live to see is not lost', () => {
    assert.equal(accountOf({ closed: 1006, endsTold: 1, got: published(1, 2) }).lost, 0);
  });

  test('the common order holds what any session saw, each behind what came before it there', () => {
    const lists = [['c', 'd', 'e'], ['a', 'b', 'c', 'e'], [], ['0', 'a']];
    assert.deepEqual(commonOrder(lists), ['0', 'a', 'b', 'c', 'd', 'e']);
  });
});

describe('accounts of STOMP', () => {
  const life = (...numbers) => ({
    closed: 1006,
    got: new Map([['/topic/a', numbers.map((number) => `ab-${number}`)]]),
  });
  const account = (goesOn, ...lives) => stompAccountOf([lives], { goesOn, heads: () => new Map([['/topic/a', 6]]) });
  const counts = ({ lost, repeated, reordered }) => ({ lost, repeated, reordered });

  for (const [claim, goesOn, lives, expected] of [
    [
      'each connection for itself has no hole',
      false,
      [
        [1, 2],
        [5, 6],
      ],
      {},
    ],
    [
      'one that goes on must have what came between',
      true,
      [
        [1, 2],
        [5, 6],
      ],
      { lost: 2 },
    ],
    [
      'and nothing twice',
      true,
      [
        [1, 2, 3],
        [3, 4, 5, 6],
      ],
      { repeated: 1 },
    ],
    ['a hole within a connection is a loss', false, [[1, 2, 4, 5, 6]], { lost: 1 }],
    ['the newest has to be there at the end', false, [[1], [3, 4]], { lost: 2 }],
    ['what comes late is out of order', false, [[1, 2, 4, 3, 5, 6]], { lost: 1, reordered: 1 }],
  ]) {
    test(claim, () => {
      const found = account(goesOn, ...lives.map((numbers) => life(...numbers)));
      assert.deepEqual(counts(found), { lost: 0, repeated: 0, reordered: 0, ...expected });
      assert.deepEqual(found.ends, { 1006: lives.length });
    });
  }

  test('their part of the document is put in place of the old one, wherever that is', () => {
    const part = '## STOMP\n\nnew\n';
    assert.equal(withStompPart('# A\n', part), '# A\n\n## STOMP\n\nnew\n');
    const old = '# A\n\n## STOMP\n\nold\n\n### STOMP: x\n';
    assert.equal(withStompPart(`${old}\n## B\n`, part), '# A\n\n## STOMP\n\nnew\n\n## B\n');
    assert.equal(withStompPart(old, part), '# A\n\n## STOMP\n\nnew\n');
  });
});

describe('accounts of queues', () => {
  const came = (text, redelivered = false) => ({ what: 'came', text, redelivered });
  const acked = (text) => [
    { what: 'acked', text },
    { what: 'confirmed', text },
  ];
  const handled = (text) => [came(text), ...acked(text)];
  const lives = [[{ closed: 1006 }, { closed: null }], [{ closed: null }]];
  const accountOf = (log) => queueAccountOf(lives, { accepted: ['a', 'b'], log });
  const whole = { clients: 2, ends: { 1006: 1 }, accepted: 2, delivered: 2, acknowledged: 2 };
  const none = { lost: 0, left: 0, redelivered: 0, again: 0, unmarked: 0, afterConfirmed: 0 };

  for (const [claim, log, expected] of [
    ['every message that is handled once is well', [...handled('a'), ...handled('b')], {}],
    [
      'a message that comes again before anybody is known to have handled it is counted, and well',
      [came('a'), ...handled('b'), came('a', true), ...acked('a')],
      { delivered: 3, redelivered: 1, again: 1 },
    ],
    [
      'an ACK whose receipt was lost with its node handles a message',
      [came('a'), { what: 'acked', text: 'a' }, ...handled('b')],
      {},
    ],
    [
      'what was sent and not said to be accepted may be handled as well',
      [...handled('a'), ...handled('b'), ...handled('unsure')],
      { delivered: 3, acknowledged: 3 },
    ],
  ]) {
    test(claim, () => {
      const account = accountOf(log);
      assert.deepEqual(account, { ...whole, ...none, ...expected });
      assert.deepEqual(queueBreaches(account, [1006]), []);
    });
  }

  for (const [claim, log, expected] of [
    ['a message that nobody got is lost', handled('a'), { delivered: 1, acknowledged: 1, lost: 1 }],
    ['a message that nobody acknowledged is lost', [...handled('a'), came('b')], { acknowledged: 1, lost: 1 }],
    [
      'a message that the last consumer finds was left',
      [...handled('a'), ...handled('b'), { what: 'left', text: 'b' }],
      { left: 1 },
    ],
    [
      'a message that comes again must say so',
      [came('a'), ...handled('a'), ...handled('b')],
      { delivered: 3, again: 1, unmarked: 1 },
    ],
    [
      'a message that comes after the receipt of its ACK was handled for nothing',
      [...handled('a'), ...handled('b'), came('a', true)],
      { delivered: 3, redelivered: 1, again: 1, afterConfirmed: 1 },
    ],
  ]) {
    test(`${claim}, and that breaks the promise`, () => {
      const account = accountOf(log);
      assert.deepEqual(account, { ...whole, ...none, ...expected });
      assert.equal(queueBreaches(account, [1006]).length, 1);
    });
  }

  test('a connection may end with the promised codes alone', () => {
    const account = accountOf([...handled('a'), ...handled('b')]);
    assert.deepEqual(queueBreaches(account, [1000]), ['1 connections ended with 1006']);
  });
});
