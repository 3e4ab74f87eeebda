// What the chat keeps at most, and what several tabs of one browser know of each other's rooms.
/* global document, window */

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { connectToChat, newRoom } from '../harness/chat-client.js';
import { openChat } from '../harness/chat-page.js';
import { startChromium } from '../harness/chromium-place.js';
import { Lifetime } from '../harness/lifetime.js';
import { startRelay } from '../harness/relay.js';
import { scenario } from '../harness/scenario.js';
import { startSockhop } from '../harness/sockhop.js';

const life = new Lifetime();
const server = life.add(await startSockhop({ args: ['--demo'] }));
const browser = life.add(await startChromium());

/** Opens the chat for Ann; `kept` is what her browser remembers: storage, then name, then value. */
async function ann(test, { url = server.url, kept = {}, ...options }) {
  const remember = (all) => {
    if (window !== window.top) return;
    for (const [storage, values] of Object.entries(all)) {
      for (const [name, value] of Object.entries(values)) window[storage].setItem(`sockhop.chat.${name}`, value);
    }
  };
  const texts = (values) =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, JSON.stringify(value)]));
  const all = Object.fromEntries(Object.entries(kept).map(([storage, values]) => [storage, texts(values)]));
  const page = test.add(
    await openChat(browser, url, { before: (page) => page.addInitScript(remember, all), ...options }),
  );
  await page.enter('Ann');
  return page;
}

/** Resolves once `page` lists this room, or no longer does. */
function listsRoom(page, room, listed = true) {
  const is = ([id, wanted]) => (document.querySelector(`[data-testid="${id}"]`) !== null) === wanted;
  return page.page.waitForFunction(is, [`room-${room}`, listed]);
}

describe('the chat', () => {
  after(() => life.end());

  scenario('has all messages of a room that let most of them go in the background', life, async (test) => {
    const [room, other] = [newRoom(), newRoom()];
    const page = await ann(test, { room });
    await page.openRoom(other);
    const robot = test.add(await connectToChat(server.url));
    const texts = Array.from({ length: 650 }, (_, index) => `message ${index + 1}`);
    await robot.sayAll(room, texts);
    await page.reads(`unread-${room}`, /^650$/);
    await page.at(`room-${room}`).click();
    await page.shows(texts.at(-1));
    const seen = await page.everything();
    assert.deepEqual(seen.texts, texts, 'each once, in order, though they came in two ways');
  });

  scenario('is in fifty rooms at most, and says so', life, async (test) => {
    const rooms = Array.from({ length: 50 }, (_, number) => `full-${number}`);
    const page = await ann(test, { kept: { localStorage: { rooms } } });
    await page.at('room-new').click();
    await page.at('room-name').fill(newRoom());
    await page.at('room-join').click();
    await page.reads('room-fault', /^You are in 50 rooms already: leave one first\.$/);
    await page.at('room-cancel').click();
    await page.page.getByLabel('Leave full-7', { exact: true }).click();
    await page.openRoom(newRoom());
  });

  scenario('takes no more messages while two hundred wait, and loses none of those', life, async (test) => {
    const room = newRoom();
    const relay = test.add(await startRelay(server.url));
    const page = await ann(test, { url: relay.url, room });
    relay.goDown();
    await page.isInState('waiting');
    const texts = Array.from({ length: 200 }, (_, number) => `letter ${number + 1}`);
    for (const text of texts) await page.say(text);
    await page.say('one too many');
    await page.reads('message-over', /^Too much is waiting to be sent\.$/);
    assert.equal(await page.at('message-text').inputValue(), 'one too many', 'it stays in its field');
    relay.goUp();
    await page.connected(30_000);
    await page.shows(texts.at(-1), 30_000);
    await page.page.keyboard.press('Enter');
    await page.shows('one too many');
    assert.deepEqual((await page.everything()).texts.slice(-201), [...texts, 'one too many']);
  });

  scenario('has the same rooms in all tabs of a browser', life, async (test) => {
    const [room, other] = [newRoom(), newRoom()];
    const one = await ann(test, { room });
    const two = test.add(await openChat(browser, server.url, { room, beside: one }));
    await two.connected();
    await one.openRoom(other);
    await listsRoom(two, other);
    await one.at(`room-${room}`).click();
    await one.reads('room-title', new RegExp(`^${room}$`));
    const robot = test.add(await connectToChat(server.url));
    await robot.say(other, 'for both');
    await two.reads(`unread-${other}`, /^1$/);
    await two.page.getByLabel(`Leave ${other}`, { exact: true }).click();
    await listsRoom(one, other, false);
    await two.openRoom(other);
    await two.shows('for both');
    await listsRoom(one, other);
    await two.at(`room-${room}`).click();
    await two.page.getByLabel(`Leave ${other}`, { exact: true }).click();
    await listsRoom(one, other, false);
  });
});
