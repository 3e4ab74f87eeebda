// The page that cuts its connection and misses nothing, in a real browser.
/* global document */

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startChromium } from '../harness/chromium-place.js';
import { Lifetime } from '../harness/lifetime.js';
import { openPage } from '../harness/page.js';
import { scenario } from '../harness/scenario.js';
import { startSockhop } from '../harness/sockhop.js';
import { Account } from '../../www/stomp/account.js';

const life = new Lifetime();
const server = life.add(await startSockhop());
const browser = life.add(await startChromium());

const open = (options) => openPage(browser, server.url, { path: '/stomp/', ...options });

describe('the page about missed messages', () => {
  after(() => life.end());

  scenario('shows what came while its connection was cut, and that nothing is missing', life, async (own) => {
    const page = own.add(await open());
    await page.reads('state-text', /^Connected$/);
    await page.reads('came', /^[1-9]/);
    await page.at('cut').click();
    await page.reads('state-text', /^Away/);
    assert.equal(await page.at('cut').isDisabled(), true);
    await page.reads('state-text', /^Back/);
    await page.reads('while-away', /^[1-9]/);
    await page.reads('account', /^Nothing is missing, and nothing came twice\.$/);
    const rows = await page
      .at('messages')
      .evaluate((list) =>
        [...list.children].map((row) => Number(row.querySelector('code').textContent.split('-').pop())),
      );
    const from = rows.at(-1);
    assert.deepEqual(
      rows,
      Array.from(rows, (_, index) => from + rows.length - 1 - index),
      'newest first, without a hole',
    );
    assert.ok((await page.text('messages')).includes('while away'));
  });

  scenario('works by keyboard, on a phone, and takes markup for text', life, async (own) => {
    const page = own.add(await open({ size: { width: 360, height: 740 } }));
    await page.reads('state-text', /^Connected$/);
    await page.at('numbers').uncheck();
    await page.at('text').fill('<b id=x>bold</b>');
    await page.page.keyboard.press('Enter');
    await page.reads('messages', /<b id=x>bold<\/b>/);
    assert.equal(await page.page.locator('#x').count(), 0);
    await page.at('cut').focus();
    await page.page.keyboard.press('Enter');
    await page.reads('state-text', /^Away/);
    await page.at('text').fill('sent meanwhile');
    await page.page.keyboard.press('Enter');
    await page.reads('messages', /while away\s+sent meanwhile/);
    assert.equal(await page.text('missing'), '0');
    const wide = await page.page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 360, `${wide} px wide`);
  });

  scenario('is found from the first page', life, async (own) => {
    const page = own.add(await openPage(browser, server.url));
    await page.page.getByRole('link', { name: 'Nothing missed' }).click();
    await page.reads('state-text', /^Connected$/);
  });

  test('an account tells holes and repetitions', () => {
    const account = new Account();
    for (const id of ['a-1', 'a-2', 'a-5', 'a-5', 'b-9', 'b-10']) account.add(id, id === 'a-2');
    assert.deepEqual({ ...account }, { came: 6, whileAway: 1, missing: 2, twice: 1, last: 'b-10' });
    assert.equal(account.text, '2 missing.');
  });
});
