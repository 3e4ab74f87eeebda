// The page that the server shows at its root: every transport connects from it, and what it shows is true.
/* global window, document */

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { pageTransports, startChromium } from '../harness/chromium-place.js';
import { openLab } from '../harness/lab-page.js';
import { Lifetime } from '../harness/lifetime.js';
import { startRelay } from '../harness/relay.js';
import { scenario } from '../harness/scenario.js';
import { startSockhop } from '../harness/sockhop.js';

const life = new Lifetime();
const server = life.add(await startSockhop());
const browser = life.add(await startChromium());

const PHONE = { width: 360, height: 740 };
const MARKUP = '<img src=x onerror="document.title=1"> 100% %41 é 😀';
const INFO = '**/demo/echo/info*';

async function lab(test, options) {
  return test.add(await openLab(browser, server.url, options));
}

describe('the page', () => {
  after(() => life.end());

  describe('it connects', () => {
    for (const transport of pageTransports) {
      scenario(`over ${transport}, and shows its frames and round trips`, life, async (test) => {
        const page = await lab(test);
        await page.connect(transport);
        assert.equal(await page.text('transport'), transport);
        assert.match(await page.text('time-to-open'), /^[\d.]+ m?s$/);
        await page.ping(3);
        await page.reads('plot-summary', /^Median [\d.]+ ms, 95th percentile .*\(3 messages\)/);
        await page.say(MARKUP);
        await page.reads('plot-summary', /\(4 messages\)/);
        await page.disconnect();
        await page.reads('state-message', /^1000: The connection was ended normally/);

        const frames = await page.frames();
        assert.equal(frames.filter(({ kind, text }) => kind === 'open' && text === 'o').length, 1);
        const heard = frames.filter(({ kind }) => kind === 'messages').flatMap(({ text }) => JSON.parse(text.slice(1)));
        assert.deepEqual(heard, ['ping 1', 'ping 2', 'ping 3', MARKUP]);
        const said = frames.filter(({ direction }) => direction === 'out').flatMap(({ text }) => JSON.parse(text));
        assert.deepEqual(said, heard);
        assert.equal(await page.at('frame-log').locator('img').count(), 0, 'markup in a message stays text');
      });
    }

    scenario('with a transport that the client chooses', life, async (test) => {
      const page = await lab(test);
      await page.connect('automatic');
      assert.ok(pageTransports.includes(await page.text('transport')));
    });

    scenario('over jsonp-polling, and takes the answer that comes after the end', life, async (test) => {
      const beating = test.add(await startSockhop({ args: ['--heartbeat', '1s'] }));
      const { page, connect, disconnect } = bound(test.add(await openLab(browser, beating.url)));
      await connect('jsonp-polling');
      await disconnect();
      const awaited = () => Object.keys(window._jp).length;
      assert.equal(await page.evaluate(awaited), 1, 'the poll that was given up may still call');
      await page.waitForFunction(() => Object.keys(window._jp).length === 0);
    });

    scenario('by keyboard alone', life, async (test) => {
      const { page, reads } = bound(await lab(test, { path: '/?transport=websocket' }));
      await page.getByTestId('transport-select').focus();
      for (const next of ['reconnect', 'connect']) {
        await page.keyboard.press('Tab');
        assert.equal(await focused(page), next);
      }
      await page.keyboard.press('Enter');
      await reads('state', /^Open$/);
      for (let stops = 0; (await focused(page)) !== 'message-text'; stops += 1) {
        assert.ok(stops < 6, 'the message field comes soon after the connect button');
        await page.keyboard.press('Tab');
      }
      await page.keyboard.type(' by keys');
      await page.keyboard.press('Enter');
      await reads('plot-summary', /\(1 message\)/);
    });
  });

  describe('it tells', () => {
    scenario('which transports the browser lacks, and goes on without them', life, async (test) => {
      const withoutWebSocket = (page) => page.addInitScript(() => delete window.WebSocket);
      const page = await lab(test, { before: withoutWebSocket });
      await page.reads('unavailable', /^websocket is not available: this browser has no WebSocket\.$/);
      assert.equal(await page.page.locator('option[value=websocket]:disabled').count(), 2);
      assert.equal(await page.page.locator('input[value=websocket]:disabled').count(), 1);
      await page.connect('automatic');
      assert.notEqual(await page.text('transport'), 'websocket');
    });

    scenario('which transports the server has switched off', life, async (test) => {
      const withoutWebSocket = (page) =>
        page.route(INFO, async (route) => {
          const response = await route.fetch();
          await route.fulfill({ response, json: { ...(await response.json()), websocket: false } });
        });
      const page = await lab(test, { path: '/?transport=websocket', before: withoutWebSocket });
      await page.reads('unavailable', /^websocket is not available: the server has switched it off\.$/);
      assert.equal(await page.at('transport-select').inputValue(), 'automatic');
    });

    scenario('that the server does not answer', life, async (test) => {
      const page = await lab(test, { before: (opening) => opening.route(INFO, (route) => route.abort()) });
      await page.reads('notice', /does not answer/);
      await page.at('connect').click();
      await page.reads('state', /^Closed$/);
      await page.reads('state-message', /^1002: The server could not be reached/);
    });

    for (const transport of ['xhr-streaming', 'iframe-eventsource', 'htmlfile']) {
      scenario(`each receiver that follows one at its limit (${transport})`, life, async (test) => {
        const small = test.add(await startSockhop({ args: ['--response-limit', '4096'] }));
        const page = test.add(await openLab(browser, small.url));
        await page.connect(transport);
        await page.reads('receivers', /^1$/);
        for (let n = 1; n <= 6; n += 1) {
          await page.say(`${n}${'.'.repeat(2_000)}`);
          await page.reads('plot-summary', new RegExp(`\\(${n} message`));
        }
        await page.reads('receivers', /^3$/);
        assert.equal(await page.text('reconnects'), '0');
      });
    }

    scenario('a lost connection, and the new one after it', life, async (test) => {
      const relay = test.add(await startRelay(server.url));
      const page = test.add(await openLab(browser, relay.url));
      await page.connect('websocket');
      const before = await page.text('session');
      relay.cut();
      await page.reads('reconnects', /^1$/);
      await page.reads('state', /^Open$/);
      assert.notEqual(await page.text('session'), before);
      const notes = (await page.frames()).filter(({ direction }) => direction === 'note').map(({ text }) => text);
      assert.ok(
        notes.some((text) => text.startsWith('closed: 1006: The connection was lost')),
        notes.join('\n'),
      );

      await page.at('reconnect').uncheck();
      relay.cut();
      await page.reads('state-message', /^1006: The connection was lost without a goodbye/);
      assert.equal(await page.text('state'), 'Closed');
    });

    scenario('no more than the newest frames', life, async (test) => {
      const { page } = await lab(test);
      const rows = await page.evaluate(async () => {
        const { FrameLog } = await import('/lab/frame-log.js');
        const list = document.createElement('div');
        const log = new FrameLog(list, document.createElement('p'));
        for (let n = 1; n <= 1_000; n += 1) {
          log.add({ direction: 'in', kind: 'messages', text: `a["${n}"]`, size: 6, at: n });
          if (n % 100 === 0) await new Promise(window.requestAnimationFrame);
        }
        await new Promise(window.requestAnimationFrame);
        return [...list.children].map((row) => row.querySelector('code').textContent);
      });
      assert.equal(rows.length, 300);
      assert.deepEqual([rows[0], rows.at(-1)], ['a["701"]', 'a["1000"]']);
    });
  });

  describe('the comparison', () => {
    scenario('measures what is chosen, and one failure does not stop the others', life, async (test) => {
      const page = await lab(test, {
        before: (opening) => opening.route('**/eventsource*', (route) => route.fulfill({ status: 404 })),
      });
      await compare(page, ['websocket', 'eventsource', 'xhr-polling'], 'one');
      await page.reads('compare-status', /^Done: 2 of 3 transports measured\.$/);
      const rows = await results(page);
      assert.deepEqual(
        rows.map(({ transport, state }) => [transport, state]),
        [
          ['websocket', 'done'],
          ['eventsource', 'failed'],
          ['xhr-polling', 'done'],
        ],
      );
      assert.match(rows[1].cells[0], /^failed: closed with \d{4}/);
      for (const { cells } of [rows[0], rows[2]]) assertFigures(cells);
      assert.equal(rows[0].cells.at(-1), '0.0', 'a WebSocket needs no request for a round trip');
      assert.equal(rows[2].cells.at(-1), '2.0', 'a poll and a send');
      assert.equal(await page.at('compare-plot').locator('rect').count(), 2);
      for (const figure of ['Opening', 'Burst']) {
        await page.page.getByRole('radio', { name: figure }).check();
        assert.equal(await page.at('compare-plot').locator('rect').count(), 2);
      }
    });

    scenario('measures all transports, three at a time', life, async (test) => {
      const page = await lab(test);
      await compare(page, pageTransports, 'together');
      await page.reads('compare-status', /^Done: 9 of 9 transports measured\.$/, 60_000);
      for (const { cells } of await results(page)) assertFigures(cells);
    });

    scenario('can be stopped', life, async (test) => {
      const page = await lab(test);
      await page.at('compare-pings').fill('500');
      await page.at('compare-start').click();
      await page.reads('compare-table', /round trip 2 of 500/);
      await page.at('compare-start').click();
      await page.reads('compare-status', /^Stopped\.$/);
      assert.ok((await results(page)).every(({ state }) => state !== 'done'));
    });

    scenario('refuses numbers out of bounds', life, async (test) => {
      const page = await lab(test);
      await page.at('compare-burst').fill('1000000');
      await page.at('compare-start').click();
      await page.reads('compare-status', /^Burst: a whole number from 1 to 5,000, please\.$/);
      assert.equal(await focused(page.page), 'compare-burst');
    });
  });

  describe('the room', () => {
    scenario('lets two tabs talk over different transports', life, async (test) => {
      const ann = await lab(test);
      const ben = await lab(test);
      await ann.join('Ann', 'websocket');
      await ben.join('Ben', 'xhr-polling');
      await ann.reads('room-log', /Ben came in over xhr-polling/);
      await ann.tell(`Hello Ben ${MARKUP}`);
      await ben.reads('room-log', /Ann\s*websocket\s*Hello Ben <img src=x onerror="document\.title=1"> 100% %41 é 😀/);
      await ben.tell('Hello Ann');
      await ann.reads('room-log', /Ben\s*xhr-polling\s*Hello Ann/);
      assert.equal(await ben.at('room-log').locator('img').count(), 0, 'markup in a message stays text');
      await ben.at('room-join').click();
      await ben.reads('room-state', /^You have left the room\.$/);
      await ann.reads('room-log', /Ben left/);
    });

    scenario('takes a stranger at no more than his word', life, async (test) => {
      const ann = await lab(test);
      await ann.join('Ann', 'websocket');
      await ann.page.evaluate(async () => {
        const good = { kind: 'say', from: 'x', name: 'Eve', via: 'websocket', text: 'well made' };
        const bad = [
          'no JSON',
          'null',
          '[]',
          JSON.stringify({ ...good, kind: 'shout' }),
          JSON.stringify({ ...good, name: ' ' }),
          JSON.stringify({ ...good, name: 'E'.repeat(25) }),
          JSON.stringify({ ...good, text: { html: 'x' } }),
          JSON.stringify({ ...good, text: 'x'.repeat(501) }),
          JSON.stringify({ ...good, extra: 'x'.repeat(9_000) }),
        ];
        const eve = new window.SockJS(new URL('/demo/room', document.baseURI).href);
        await new Promise((resolve) => (eve.onopen = resolve));
        for (const wire of [...bad, JSON.stringify(good)]) eve.send(wire);
      });
      await ann.reads('room-log', /Eve\s*websocket\s*well made/);
      const lines = await ann.at('room-log').locator('.room-line').allInnerTexts();
      assert.equal(lines.length, 2, lines.join('\n'));
    });

    scenario('asks for a name', life, async (test) => {
      const page = await lab(test);
      await page.at('room-join').click();
      await page.reads('room-state', /^A name is needed to join\.$/);
      assert.equal(await focused(page.page), 'room-name');
    });
  });

  describe('it fits', () => {
    for (const scheme of ['light', 'dark']) {
      scenario(`a phone 360 pixels wide, ${scheme}`, life, async (test) => {
        const page = await lab(test, {
          size: PHONE,
          before: (opening) => opening.emulateMedia({ colorScheme: scheme }),
        });
        await page.connect('xhr-streaming');
        await page.say('wide'.repeat(500));
        await page.reads('plot-summary', /\(1 message\)/);
        await compare(page, ['websocket'], 'one');
        await page.reads('compare-status', /^Done/);
        assert.equal(await page.page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
        const [ink, paper] = await page.page.evaluate(() => {
          const style = window.getComputedStyle(document.documentElement);
          return [style.color, style.backgroundColor].map((colour) => Number(/\d+/.exec(colour)[0]));
        });
        assert.equal(scheme === 'dark', ink > paper);
      });
    }

    scenario('those who want no motion', life, async (test) => {
      const page = await lab(test, { before: (opening) => opening.emulateMedia({ reducedMotion: 'reduce' }) });
      const moving = await page.page.evaluate(() => {
        document.querySelector('[data-testid=state]').dataset.state = 'connecting';
        return [...document.querySelectorAll('*')]
          .flatMap((node) => [window.getComputedStyle(node), window.getComputedStyle(node, '::before')])
          .filter((style) => style.animationName !== 'none' || style.transitionDuration !== '0s').length;
      });
      assert.equal(moving, 0);
    });
  });
});

/** Starts a small comparison of exactly `transports`. */
async function compare(page, transports, order) {
  for (const box of await page.at('compare-transports').locator('input').all()) {
    await box.setChecked(transports.includes(await box.inputValue()));
  }
  await page.at('compare-pings').fill('3');
  await page.at('compare-burst').fill('20');
  await page.at('compare-order').selectOption(order);
  await page.at('compare-start').click();
}

/** The rows of the table of results, as {transport, state, cells}. */
function results(page) {
  return page.at('compare-table').evaluate((table) =>
    [...table.tBodies[0].rows].map((row) => ({
      ...row.dataset,
      cells: [...row.querySelectorAll('td')].map((cell) => cell.textContent),
    })),
  );
}

/** Time to open, median, 95th percentile, burst, bytes and requests per round trip. */
function assertFigures(cells) {
  const shapes = [/^[\d.]+ m?s$/, /^[\d.]+ m?s$/, /^[\d.]+ m?s$/, /^[\d,]+\/s$/, /^(≈ )?[\d.,]+ (B|KiB)$/, /^[\d.]+$/];
  assert.equal(cells.length, shapes.length, cells.join(' | '));
  cells.forEach((cell, index) => assert.match(cell, shapes[index]));
}

function focused(page) {
  return page.evaluate(() => document.activeElement.dataset.testid);
}

/** The lab's methods under their bare names. */
function bound(lab) {
  const methods = ['reads', 'connect', 'disconnect'].map((name) => [name, lab[name].bind(lab)]);
  return { page: lab.page, ...Object.fromEntries(methods) };
}
