// The chat in a real browser: people in rooms, over whatever transport, in their language, by whatever means.
/* global document, window, getComputedStyle */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe } from 'node:test';
import { connectToChat, newRoom } from '../harness/chat-client.js';
import { openChat } from '../harness/chat-page.js';
import { pageTransports, startChromium } from '../harness/chromium-place.js';
import { Lifetime } from '../harness/lifetime.js';
import { watchMainThreads } from '../harness/main-thread.js';
import { startRelay } from '../harness/relay.js';
import { scenario } from '../harness/scenario.js';
import { startSockhop } from '../harness/sockhop.js';

const life = new Lifetime();
const server = life.add(await startSockhop({ args: ['--demo'] }));
const browser = life.add(await startChromium());

const PHONE = { width: 360, height: 740 };
const MARKUP = '<img src=x onerror="document.title=1"><b>&amp;';
const MANY = 10_000;
const LONG_MS = 300_000;

async function person(test, name, options) {
  const page = test.add(await openChat(browser, server.url, options));
  await page.enter(name);
  return page;
}

async function robot(test, options) {
  return test.add(await connectToChat(server.url, options));
}

const numbered = (count) => Array.from({ length: count }, (_, index) => `message ${index + 1}`);

describe('the chat', () => {
  after(() => life.end());

  for (const transport of pageTransports) {
    scenario(`goes to and fro over ${transport}`, life, async (test) => {
      const room = newRoom();
      const ann = await person(test, 'Ann', { room });
      const ben = await person(test, 'Ben', { room, transport });
      await ben.reads('state-text', new RegExp(`^${transport}`));
      await ben.say('Hello Ann');
      await ann.shows('Hello Ann');
      await ann.say('Hello Ben');
      await ben.shows('Hello Ben');
      assert.deepEqual(await ben.messages(), [
        { own: true, name: 'Ben', text: 'Hello Ann', state: null },
        { own: false, name: 'Ann', text: 'Hello Ben', state: null },
      ]);
    });
  }

  scenario('takes markup in names and messages for text', life, async (test) => {
    const room = newRoom();
    const name = '<b>Eve</b>';
    const eve = await person(test, name, { room });
    const ann = await person(test, 'Ann', { room });
    await eve.say(MARKUP);
    await ann.shows(MARKUP);
    assert.equal((await ann.messages())[0].name, name);
    for (const page of [ann, eve]) {
      assert.equal(await page.page.locator('img:not([alt=""]), b').count(), 0);
      assert.match(await page.page.title(), new RegExp(room));
    }
    assert.equal(await eve.text('me-name'), name);
  });

  scenario('makes links of addresses, and of nothing else', life, async (test) => {
    const ann = await person(test, 'Ann', { room: newRoom() });
    const text = 'see https://example.com/a?b=c#d, not javascript:alert(1) or "http://x.org".';
    await ann.say(text);
    await ann.shows(text);
    const links = await ann.at('message-list').locator('a').all();
    const addresses = await Promise.all(links.map((link) => link.getAttribute('href')));
    assert.deepEqual(addresses, ['https://example.com/a?b=c#d', 'http://x.org']);
  });

  scenario('takes two tabs of a browser for one person, by one name', life, async (test) => {
    const room = newRoom();
    const one = await person(test, 'Ann', { room });
    const two = test.add(await openChat(browser, server.url, { room, beside: one }));
    await two.connected();
    await one.say('from the first');
    await two.shows('from the first');
    assert.ok((await two.messages())[0].own);
    await one.at('me').click();
    await one.enter('Anna');
    await two.reads('me-name', /^Anna$/);
    await two.connected();
    await two.say('from the second');
    await one.shows('from the second');
    assert.deepEqual(
      (await one.messages()).map(({ own, name }) => [own, name]),
      [
        [true, 'Ann'],
        [true, 'Anna'],
      ],
    );
  });

  scenario('shows what a backend says in a room, and takes what it cannot read for text', life, async (test) => {
    const room = newRoom();
    const keys = join(test.add(await folder()).path, 'keys');
    const key = crypto.randomUUID();
    await writeFile(keys, `bot publish ${key}\n`);
    const behind = test.add(await startSockhop({ args: ['--demo', '--api-path', '/api', '--api-keys', keys] }));
    const ann = test.add(await openChat(browser, behind.url, { room }));
    await ann.enter('Ann');
    const publish = async (body) => {
      const answer = await fetch(`${behind.url}/api/v1/publish`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
        body: JSON.stringify({ destination: `/topic/chat.${room}`, body }),
      });
      assert.ok(answer.ok, `${answer.status} ${await answer.text()}`);
    };
    await publish(JSON.stringify({ id: '1', user: 'Build bot', at: Date.now(), text: 'The build is green.' }));
    for (const body of ['<b>no JSON', 'null', '{"user":7}', '{"id":"2","user":"x","at":1e99,"text":"late"}'])
      await publish(body);
    await ann.say('thank you');
    await ann.shows('thank you');
    assert.deepEqual(
      (await ann.messages()).map(({ name, text }) => [name, text]),
      [
        ['Build bot', 'The build is green.'],
        ['?', '<b>no JSON'],
        [null, 'null'],
        [null, '{"user":7}'],
        ['x', 'late'],
        ['Ann', 'thank you'],
      ],
    );
  });

  scenario('tells apart two people of one name', life, async (test) => {
    const room = newRoom();
    const [one, two] = [await person(test, 'Ann', { room }), await person(test, 'Ann', { room })];
    await one.say('I am Ann');
    await two.shows('I am Ann');
    await two.say('So am I');
    await one.shows('So am I');
    assert.deepEqual(
      (await one.messages()).map(({ own }) => own),
      [true, false],
    );
    const marks = await one.at('message-list').locator('.message-mark').allTextContents();
    assert.equal(new Set(marks).size, 2, marks.join(' '));
  });

  scenario('counts what is unread in each room, in all tabs, until it is read', life, async (test) => {
    const [room, other] = [newRoom(), newRoom()];
    const ann = await person(test, 'Ann', { room });
    await ann.openRoom(other);
    const tab = test.add(await openChat(browser, server.url, { room: other, beside: ann }));
    await tab.connected();
    const ben = await robot(test);
    await ben.sayAll(room, ['one', 'two', 'three']);
    for (const page of [ann, tab]) {
      await page.reads(`unread-${room}`, /^3$/);
      assert.match(await page.page.title(), /^\(3\) /);
    }
    await ann.at(`room-${room}`).click();
    await ann.shows('three');
    for (const page of [ann, tab]) {
      await page.page.waitForFunction((id) => document.querySelector(`[data-testid="${id}"]`).hidden, `unread-${room}`);
    }
    await tab.page.reload();
    await tab.connected();
    assert.ok(await tab.at(`unread-${room}`).isHidden(), 'what was read stays read');
    await tab.at(`room-${room}`).click();
    await ben.say(other, 'four');
    await ann.reads(`unread-${other}`, /^1$/);
    await ann.page.reload();
    await ann.reads(`unread-${other}`, /^1$/);
    const cho = await person(test, 'Cho', { room: newRoom() });
    await cho.openRoom(room);
    await cho.shows('three');
    assert.ok(await cho.at('room-list').locator('.badge').first().isHidden(), 'what was before is nothing missed');
  });

  scenario('shows who is here, each person once, as they come and go', life, async (test) => {
    const room = newRoom();
    const ann = await person(test, 'Ann', { room });
    await ann.showsPeople(['Ann']);
    const ben = await openChat(browser, server.url, { room, transport: 'xhr-polling' });
    await ben.enter('<b>Ben');
    for (const page of [ann, ben]) await page.showsPeople(['<b>Ben', 'Ann']);
    await ann.reads('people-count', /^2$/);
    const tab = await openChat(browser, server.url, { room, beside: ben });
    await tab.connected();
    await tab.showsPeople(['<b>Ben', 'Ann']);
    await tab.stop();
    const other = newRoom();
    await ann.openRoom(other);
    await ann.showsPeople(['Ann']);
    await ann.at(`room-${room}`).click();
    await ann.showsPeople(['<b>Ben', 'Ann']);
    await ben.stop();
    await ann.showsPeople(['Ann'], 30_000);
    await ann.at('me').click();
    await ann.enter('Anna');
    await ann.showsPeople(['Anna']);
    assert.match(await ann.at('open-people').getAttribute('aria-label'), /1 person$/);
  });

  scenario('lists a new room to those who look for one', life, async (test) => {
    const room = `대화-${crypto.randomUUID().slice(0, 8)}`;
    const ann = await person(test, 'Ann');
    await ann.openRoom(room);
    const ben = await person(test, 'Ben');
    await ben.at('room-new').click();
    await ben.at('other-rooms').getByText(room).click();
    await ben.reads('room-title', new RegExp(`^${room}$`));
    await ben.say('안녕');
    await ann.shows('안녕');
    await ann.page.getByLabel(`Leave ${room}`).click();
    await ann.reads('room-title', /^lobby$/);
    assert.equal(await ann.at(`room-${room}`).count(), 0);
  });

  scenario('says what a name or a room cannot be', life, async (test) => {
    const page = test.add(await openChat(browser, server.url));
    for (const [name, fault] of [
      [' ', /^A name is needed\.$/],
      ['x'.repeat(25), /^At most 24 characters/],
      ['a#b', /^A name has letters/],
      ['a\u202eb', /^A name has letters/],
    ]) {
      await page.at('name').fill(name);
      await page.at('name-submit').click();
      await page.reads('name-fault', fault);
    }
    await page.enter('Ann');
    await page.at('room-new').click();
    for (const [name, fault] of [
      ['', /needs a name/],
      ['x'.repeat(33), /^At most 32/],
      ['a.b', /^Only letters/],
      ['a/b', /^Only letters/],
    ]) {
      await page.at('room-name').fill(name);
      await page.at('room-join').click();
      await page.reads('room-fault', fault);
    }
  });

  scenario('does not send what is too long', life, async (test) => {
    const page = await person(test, 'Ann', { room: newRoom() });
    await page.say('x'.repeat(2_010));
    await page.reads('message-over', /^10 too many$/);
    assert.ok(await page.at('message-send').isDisabled());
    await page.say('x'.repeat(2_000));
    await page.shows('x'.repeat(2_000));
  });

  describe('scrolls back', () => {
    scenario('through all there is, page by page, each message once and in order', life, async (test) => {
      const room = newRoom();
      const texts = numbered(450);
      await (await robot(test)).sayAll(room, texts);
      const ann = await person(test, 'Ann', { room });
      await ann.shows('message 450');
      const { texts: seen, beginning } = await ann.everything();
      assert.deepEqual(seen, texts);
      assert.equal(beginning, `This is the beginning of ${room}.`);
    });

    scenario('while more comes, without moving what is read', life, async (test) => {
      const room = newRoom();
      const ben = await robot(test);
      await ben.sayAll(room, numbered(200));
      const ann = await person(test, 'Ann', { room });
      await ann.shows('message 200');
      const look = () =>
        ann.page.evaluate(() => {
          const box = document.querySelector('[data-testid=messages]');
          const edge = box.getBoundingClientRect().top;
          const rows = [...document.querySelectorAll('.message')];
          const first = rows.find((row) => row.getBoundingClientRect().bottom > edge);
          return [first.dataset.id, Math.round(first.getBoundingClientRect().top - edge)];
        });
      await ann.at('messages').evaluate((box) => (box.scrollTop -= 1_500));
      await ann.page.waitForFunction(() => !document.querySelector('[data-testid=to-end]').hidden);
      // Till the page before is there, which comes by itself.
      await ann.page.evaluate(() => new Promise((done) => window.setTimeout(done, 300)));
      const before = await look();
      await ben.sayAll(room, ['a new one', 'and another']);
      await ann.reads('to-end-count', /^2 new messages$/);
      const now = await look();
      assert.equal(now[0], before[0]);
      assert.ok(Math.abs(now[1] - before[1]) <= 1, `${before} ${now}`);
      await ann.at('to-end').click();
      await ann.shows('and another');
      await ann.page.waitForFunction(() => document.querySelector('[data-testid=to-end]').hidden);
    });

    scenario(
      `through ${MANY} messages with few of them in the document`,
      life,
      async (test) => {
        const room = newRoom();
        const texts = Array.from({ length: MANY }, (_, index) =>
          `${index + 1} ${'word '.repeat((index * 7) % 40)}`.trim(),
        );
        const ben = await robot(test);
        for (let from = 0; from < MANY; from += 500) await ben.sayAll(room, texts.slice(from, from + 500));
        const ann = await person(test, 'Ann', { room });
        await ann.shows(texts.at(-1));
        const threads = await watchMainThreads(browser);
        const { texts: seen, most } = await ann.everything(700, LONG_MS);
        const tasks = await threads.end();
        assert.equal(seen.length, MANY);
        assert.deepEqual(seen, texts);
        assert.ok(most < 100, `${most} rows`);
        const longest = (name) => Math.round(Math.max(...tasks.map((task) => task[name])));
        const long = tasks.filter(({ ms }) => ms > 50).length;
        console.log(
          `# ${MANY} messages, up and down, ${tasks.length} tasks: the longest took ${longest('processorMs')} ms of the ` +
            `processor and ${longest('ms')} ms by the clock, ${long} over 50 ms; at most ${most} rows in the document`,
        );
      },
      LONG_MS,
    );
  });

  describe('over a connection that breaks', () => {
    for (const transport of ['websocket', 'xhr-streaming', 'xhr-polling']) {
      scenario(`tells that nothing was lost (${transport})`, life, async (test) => {
        const room = newRoom();
        const relay = test.add(await startRelay(server.url));
        const ann = test.add(await openChat(browser, relay.url, { room, transport }));
        await ann.enter('Ann');
        const ben = await robot(test);
        await ben.say(room, 'before');
        await ann.shows('before');
        relay.goDown();
        await ann.isInState('waiting', 60_000);
        await ann.reads('banner', /^Connection lost\./);
        await ben.sayAll(room, numbered(4));
        relay.goUp();
        await ann.connected(60_000);
        await ann.shows('message 4');
        const told = /^Back after [\d.]+ \w+\. 4 messages came meanwhile, none lost\./;
        await ann.reads('banner', told);
        await ann.reads('note', told);
        assert.deepEqual(await ann.texts(), ['before', ...numbered(4)]);
        await ann.at('state').click();
        await ann.reads('returns', /^once$/);
        await ann.reads('gone', /^0$/);
      });
    }

    scenario('tells what is not kept any more, and where what is kept begins', life, async (test) => {
      const file = join(test.add(await folder()).path, 'sockhop.toml');
      await writeFile(file, '[[channels]]\npattern = "/topic/chat.*"\nretention-messages = 5\n');
      const forgetful = test.add(await startSockhop({ args: ['--demo', '--config', file] }));
      const relay = test.add(await startRelay(forgetful.url));
      const ann = test.add(await openChat(browser, relay.url, { room: 'short', transport: 'websocket' }));
      await ann.enter('Ann');
      const ben = test.add(await connectToChat(forgetful.url));
      await ben.say('short', 'before');
      await ann.shows('before');
      relay.goDown();
      await ann.isInState('waiting');
      await ben.sayAll('short', numbered(20));
      relay.goUp();
      await ann.reads('banner', /^Back after .* 20 messages came meanwhile; 15 of them not kept any more\./, 60_000);
      await ann.reads('beginning', /^Older messages are not kept\.$/);
      assert.deepEqual(await ann.texts(), numbered(20).slice(15));
      await ann.at('state').click();
      await ann.reads('gone', /^15$/);
    });

    scenario('tells that a server has lost everything, and goes on', life, async (test) => {
      const first = await startSockhop({ args: ['--demo'] });
      const ann = test.add(await openChat(browser, first.url, { room: 'lost', transport: 'websocket' }));
      await ann.enter('Ann');
      await ann.say('before');
      await ann.shows('before');
      await first.stop();
      await ann.isInState('waiting');
      await ann.say('written meanwhile');
      const listen = new URL(first.url).host;
      test.add(await startSockhop({ args: ['--demo'], listen }));
      await ann.shows('written meanwhile', 60_000);
      await ann.reads('banner', /^Back after .*not kept any more\./);
      await ann.say('after');
      await ann.shows('after');
    });

    scenario('keeps what one writes, and sends it once', life, async (test) => {
      const room = newRoom();
      const relay = test.add(await startRelay(server.url));
      const ann = test.add(await openChat(browser, relay.url, { room, transport: 'websocket' }));
      await ann.enter('Ann');
      const ben = await person(test, 'Ben', { room });
      relay.goDown();
      await ann.isInState('waiting');
      for (const text of ['one', 'two', 'three']) await ann.say(text);
      assert.deepEqual(
        (await ann.messages()).map(({ state }) => state),
        ['waiting', 'waiting', 'waiting'],
      );
      relay.goUp();
      await ben.shows('three', 60_000);
      await ann.shows('three');
      for (const page of [ann, ben]) assert.deepEqual(await page.texts(), ['one', 'two', 'three']);
    });

    scenario('sends again what may or may not have arrived, and it is there once', life, async (test) => {
      const room = newRoom();
      const relay = test.add(await startRelay(server.url));
      const ann = test.add(await openChat(browser, relay.url, { room, transport: 'websocket' }));
      await ann.enter('Ann');
      const ben = await person(test, 'Ben', { room });
      for (let n = 1; n <= 8; n += 1) {
        await ann.say(`try ${n}`);
        // What is under way arrives or does not: nobody knows.
        relay.cut();
      }
      await ann.shows('try 8', 60_000);
      await ben.shows('try 8');
      const once = Array.from({ length: 8 }, (_, index) => `try ${index + 1}`);
      for (const page of [ann, ben]) assert.deepEqual((await page.texts()).sort(), once);
    });

    scenario('lets one discard what the server does not take', life, async (test) => {
      const ann = await person(test, 'Ann', { room: newRoom(), transport: 'xhr-polling' });
      // The page counts what a person sees; the server is asked for more than it takes.
      await ann.page.route('**/xhr_send*', (route) => {
        const longer = (frame) =>
          frame.includes('too long')
            ? frame.replace('too long', 'x'.repeat(2_001)).replace(/content-length:\d+\n/, '')
            : frame;
        const frames = JSON.parse(route.request().postData()).map(longer);
        return route.continue({ postData: JSON.stringify(frames) });
      });
      await ann.say('too long');
      await ann.reads('message-list', /not sent: too long/);
      await ann.page.getByText('Discard').click();
      await ann.page.waitForFunction(() => document.querySelectorAll('.message').length === 0);
    });

    scenario('tries again where the server cannot let anybody in just now', life, async (test) => {
      const before = (page) =>
        page.addInitScript(() => {
          window.connects = 0;
          window.WebSocket = class extends window.WebSocket {
            send(data) {
              if (data.includes('CONNECT') && (window.connects += 1) === 1) {
                this.onmessage({ data: 'a["ERROR\\nmessage:unavailable\\n\\nTry again.\\u0000"]' });
                this.onmessage({ data: 'c[4510,"STOMP error"]' });
              } else {
                super.send(data);
              }
            }
          };
        });
      const ann = await person(test, 'Ann', { room: newRoom(), transport: 'websocket', before });
      assert.equal(await ann.page.evaluate(() => window.connects), 2);
      assert.ok(await ann.at('name-dialog').isHidden());
    });

    scenario('shows at once what one writes, and marks it until it is there', life, async (test) => {
      const ann = await person(test, 'Ann', { room: newRoom(), transport: 'xhr-polling' });
      let release;
      const held = new Promise((resolve) => (release = resolve));
      await ann.page.route('**/xhr_send*', async (route) => {
        await held;
        await route.continue();
      });
      await ann.say('slow');
      assert.deepEqual(await ann.messages(), [{ own: true, name: 'Ann', text: 'slow', state: 'pending' }]);
      release();
      await ann.shows('slow');
      assert.equal((await ann.messages()).length, 1);
    });

    scenario('goes on when a page comes back that the browser had put away', life, async (test) => {
      const room = newRoom();
      const ann = await person(test, 'Ann', { room });
      const ben = await robot(test);
      await ben.say(room, 'before');
      await ann.shows('before');
      const tell = (type) => window.dispatchEvent(new window.PageTransitionEvent(type, { persisted: true }));
      await ann.page.evaluate(tell, 'pagehide');
      await ann.isInState('ended');
      await ben.sayAll(room, numbered(3));
      await ann.page.evaluate(tell, 'pageshow');
      await ann.shows('message 3');
      await ann.reads('banner', /^Back after .* 3 messages came meanwhile, none lost\./);
      await ben.say(room, 'and now');
      await ann.shows('and now');
    });

    scenario('goes on over another transport when one is chosen', life, async (test) => {
      const room = newRoom();
      const ann = await person(test, 'Ann', { room, transport: 'websocket' });
      await ann.say('over one');
      await ann.shows('over one');
      await ann.at('state').click();
      for (const transport of ['xhr-polling', 'eventsource', 'websocket']) {
        await ann.at('transport').selectOption(transport);
        await ann.reads(
          'banner',
          new RegExp(`^Back after .* No messages came meanwhile, none lost\\. .* → ${transport}$`),
        );
        await ann.reads('transport-now', new RegExp(`^${transport}$`));
      }
      await ann.say('over another');
      await ann.shows('over another');
    });
  });

  describe('is there', () => {
    scenario('in Korean for browsers that prefer it, and in English by choice', life, async (test) => {
      const page = test.add(await openChat(browser, server.url, { context: { locale: 'ko-KR' } }));
      await page.reads('name-title', /^뭐라고 불러 드릴까요\?$/);
      assert.equal(await page.page.evaluate(() => document.documentElement.lang), 'ko');
      await page.enter('민지');
      await page.say('안녕하세요');
      await page.shows('안녕하세요');
      assert.match(await page.at('message-list').locator('time').last().innerText(), /^(오전|오후) /);
      assert.doesNotMatch(await visibleText(page), /Rooms|Message|Connected|Enter sends/);
      await page.at('language').selectOption('en');
      assert.doesNotMatch(await visibleText(page), /대화방|메시지|연결|보내기/);
      await page.page.reload();
      await page.connected();
      assert.equal(await page.page.evaluate(() => document.documentElement.lang), 'en');
    });

    scenario('for those who have a keyboard alone', life, async (test) => {
      const [room, other] = [newRoom(), newRoom()];
      const { page, ...ann } = bound(test.add(await openChat(browser, server.url, { room })));
      await page.keyboard.type('Ann');
      await page.keyboard.press('Enter');
      await ann.connected();
      await tabTo(page, 'room-new', 12);
      await page.keyboard.press('Enter');
      await page.keyboard.type(other);
      await page.keyboard.press('Enter');
      await ann.reads('room-title', new RegExp(other));
      assert.equal(await focused(page), 'message-text', 'one can write at once');
      await page.keyboard.type('by keys');
      await page.keyboard.press('Shift+Enter');
      await page.keyboard.type('and lines');
      await page.keyboard.press('Enter');
      await ann.shows('by keys\nand lines');
      await tabTo(page, `room-${other}`, 20);
      await page.keyboard.press('ArrowUp');
      await page.keyboard.press('Enter');
      await ann.reads('room-title', new RegExp(room));
      await tabTo(page, 'state', 20);
      await page.keyboard.press('Enter');
      await tabTo(page, 'transport', 2);
      await page.keyboard.press('Escape');
      assert.equal(await focused(page), 'state');
      await tabTo(page, 'messages', 3);
    });

    scenario('for those who listen: what others say is announced, and one thing at a time', life, async (test) => {
      const room = newRoom();
      const ann = await person(test, 'Ann', { room });
      const ben = await robot(test, { login: 'Ben' });
      await ben.say(room, 'can you hear me?');
      await ann.reads('announcer', /^Ben: can you hear me\?$/);
      await ben.sayAll(room, numbered(40));
      await ann.reads('announcer', /^\d+ new messages$/);
      await ann.say('yes');
      await ann.shows('yes');
      assert.equal(await ann.at('announcer').getAttribute('aria-live'), 'polite');
      const unnamed = await ann.page.evaluate(() =>
        [...document.querySelectorAll('button, input, select, textarea, [role=region]')]
          .filter((part) => part.offsetParent !== null)
          .filter((part) => !(part.getAttribute('aria-label') || part.innerText || part.labels?.length))
          .map((part) => part.outerHTML),
      );
      assert.deepEqual(unnamed, []);
    });

    scenario('while somebody composes a syllable: that Enter sends nothing', life, async (test) => {
      const ann = await person(test, '민지', { room: newRoom() });
      await ann.at('message-text').fill('한글');
      await ann.at('message-text').dispatchEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true });
      assert.equal(await ann.at('message-text').inputValue(), '한글');
      await ann.page.keyboard.press('Enter');
      await ann.shows('한글');
    });

    for (const scheme of ['light', 'dark']) {
      scenario(`on a phone 360 pixels wide, ${scheme}`, life, async (test) => {
        const [room, other] = [newRoom(), newRoom()];
        const before = (page) => page.emulateMedia({ colorScheme: scheme });
        const ann = await person(test, 'Ann', { room, size: PHONE, before });
        await ann.say('wide'.repeat(300));
        await ann.shows('wide'.repeat(300));
        const width = () => ann.page.evaluate(() => document.documentElement.scrollWidth);
        assert.equal(await width(), PHONE.width);
        const box = await ann.at('message-text').boundingBox();
        assert.ok(box.y + box.height <= PHONE.height, 'the field is on the screen');
        await ann.at('open-rooms').click();
        await ann.openRoom(other);
        assert.ok(await ann.at('room-list').isHidden(), 'the room is shown instead of the list');
        await (await robot(test)).say(room, 'are you there?');
        await ann.reads('unread-total', /^1$/);
        await ann.at('open-rooms').click();
        assert.equal(await width(), PHONE.width);
        await ann.page.keyboard.press('Escape');
        assert.equal(await focused(ann.page), 'open-rooms');
        await ann.reads('people-short', /^1$/);
        await ann.at('open-people').click();
        assert.ok(await ann.at('people-list').getByText('Ann').isVisible());
        assert.equal(await width(), PHONE.width);
        await ann.at('close-people').click();
        assert.equal(await focused(ann.page), 'open-people');
        const [ink, paper] = await ann.page.evaluate(() => {
          const style = getComputedStyle(document.documentElement);
          return [style.color, style.backgroundColor].map((colour) => Number(/\d+/.exec(colour)[0]));
        });
        assert.equal(scheme === 'dark', ink > paper);
      });
    }

    scenario('and says so where it is not', life, async (test) => {
      const plain = test.add(await startSockhop());
      const page = test.add(await openChat(browser, plain.url));
      await page.reads('notice', /sockhop serve --demo$/);
    });
  });
});

/** A folder that goes with the test. */
async function folder() {
  const path = await mkdtemp(join(tmpdir(), 'sockhop-chat-'));
  return { path, stop: () => rm(path, { recursive: true }) };
}

/** All that can be seen of a page, but for the names of languages. */
function visibleText(page) {
  return page.page.evaluate(() => {
    const labels = [...document.querySelectorAll('[aria-label], [placeholder], [title]')].flatMap((part) => [
      part.getAttribute('aria-label') ?? '',
      part.getAttribute('placeholder') ?? '',
      part.title,
    ]);
    const chosen = document.querySelector('[data-testid=language]');
    return [document.body.innerText.replaceAll(chosen.innerText, ''), ...labels].join('\n');
  });
}

function focused(page) {
  return page.evaluate(() => document.activeElement.dataset.testid);
}

/** Presses Tab until this is focused, so often at most. */
async function tabTo(page, name, most) {
  for (let presses = 0; (await focused(page)) !== name; presses += 1) {
    assert.ok(presses < most, `${name} is not reached by ${most} tabs`);
    await page.keyboard.press('Tab');
  }
}

/** The page's methods under their bare names. */
function bound(chat) {
  const methods = ['reads', 'connected', 'shows'].map((name) => [name, chat[name].bind(chat)]);
  return { page: chat.page, ...Object.fromEntries(methods) };
}
