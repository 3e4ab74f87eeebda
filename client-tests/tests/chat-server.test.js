// What the chat's server takes from clients, and what it does not: one node, and three over Redis.

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { connectToChat, newRoom } from '../harness/chat-client.js';
import { startCluster } from '../harness/cluster.js';
import { Lifetime } from '../harness/lifetime.js';
import { fetchRaw } from '../harness/raw.js';
import { scenario } from '../harness/scenario.js';
import { startSockhop } from '../harness/sockhop.js';

const life = new Lifetime();
const places = [
  life.add(await startSockhop({ args: ['--demo', '--show-node'] })),
  life.add(await startCluster({ args: ['--demo'] })),
];

after(() => life.end());

const say = (room) => `/app/chat/rooms/${room}/say`;
const history = (room) => `/app/chat/rooms/${room}/history`;

for (const { name, url } of places) {
  describe(`the chat's server, ${name}`, () => {
    const connect = async (test, options) => test.add(await connectToChat(url, options));

    scenario('lets in who has a name and a secret, and tells people of one name apart', life, async (test) => {
      const room = newRoom();
      const clients = [
        await connect(test, { login: '안나', passcode: 'one secret of 16' }),
        await connect(test, { login: '안나', passcode: 'another secret of 16' }),
      ];
      const inbox = await clients[0].subscribe(`/topic/chat.${room}`);
      for (const client of [...clients, clients[0]]) await client.say(room, 'me');
      const users = [];
      while (users.length < 3) users.push(JSON.parse(await inbox.next()).user);
      for (const user of users) assert.match(user, /^안나#[0-9a-f]{16}$/);
      assert.equal(users[0], users[2]);
      assert.notEqual(users[0], users[1]);
    });

    scenario('has the page in its folder, whichever way one comes', life, async () => {
      const bare = await fetchRaw('GET', `${url}/chat`);
      assert.deepEqual([bare.status, bare.headers.location], [308, 'chat/']);
      for (const path of ['/chat/', '/chat/index.html']) {
        const { status, headers, body } = await fetchRaw('GET', `${url}${path}`);
        assert.equal(status, 200);
        assert.match(headers['content-type'], /^text\/html; charset=utf-8$/);
        assert.match(headers['content-security-policy'], /^default-src 'self'/);
        assert.match(body, /<title>Chat/);
      }
      assert.equal((await fetchRaw('GET', `${url}/chat/none`)).status, 404);
    });

    for (const [claim, options, why] of [
      ['no name', { login: '' }, /a name is needed/],
      ['a name that is too long', { login: 'x'.repeat(25) }, /a name is needed/],
      ['a name that holds a mark', { login: 'Ann#0123' }, /a name is needed/],
      ['a name that turns the text around it', { login: 'a\u202eb' }, /a name is needed/],
      ['no secret', { passcode: '' }, /a secret of 16 to 128 bytes/],
      ['a short secret', { passcode: 'x'.repeat(15) }, /a secret of 16 to 128 bytes/],
      ['an endless secret', { passcode: 'x'.repeat(129) }, /a secret of 16 to 128 bytes/],
    ]) {
      scenario(`refuses ${claim}`, life, () => assert.rejects(connectToChat(url, options), why));
    }

    for (const [claim, destination, body, headers, why] of [
      ['past the handlers', '/topic/chat.lobby', '{"user":"Ann#0"}', {}, /No rule lets/],
      ['to a list of rooms', '/topic/chat-rooms', 'x', {}, /No rule lets/],
      ['without an id', say('lobby'), 'x', {}, /needs a header id/],
      ['with an odd id', say('lobby'), 'x', { id: 'a b' }, /needs a header id/],
      ['to nobody', '/app/chat/nothing', 'x', {}, /handles nothing/],
      ['of a room that cannot be', '/app/chat/rooms', 'A.b', {}, /A room's name/],
      ['a question that is none', '/app/chat/hello', 'no JSON', {}, /body is not as expected/],
      ['a question without end', '/app/chat/hello', many(51), {}, /At most 50 rooms/],
      ['a forged cursor', history('lobby'), ask({ before: 'x' }), {}, /no cursor/],
      ['for the history of what is no room', history('a.b'), ask({}), {}, /A room's name/],
    ]) {
      scenario(`refuses what is sent: ${claim}`, life, async (test) => {
        const client = await connect(test);
        client.publish(destination, body, headers);
        const { headers: told, body: detail } = await client.refusal();
        assert.match(`${told.message} ${detail}`, why);
      });
    }

    scenario('refuses the eyes of those who want to see elsewhere', life, async (test) => {
      const client = await connect(test);
      client.subscribe('/topic/elsewhere').catch(() => {});
      assert.match((await client.refusal()).body, /No rule lets/);
    });

    scenario('tells who said it what cannot be said, and goes on', life, async (test) => {
      const room = newRoom();
      const client = await connect(test);
      const answers = await client.subscribe('/user/queue/chat');
      const inbox = await client.subscribe(`/topic/chat.${room}`);
      for (const [where, text, why] of [
        [room, 'x'.repeat(2_001), 'long'],
        [room, ' \n ', 'empty'],
        ['a.b', 'x', 'room'],
      ]) {
        await client.say(where, text, `id-${why}`);
        assert.deepEqual(JSON.parse(await answers.next()), { refused: `id-${why}`, why });
      }
      await client.say(room, '  kept\u0007 <b>\n ');
      assert.equal(JSON.parse(await inbox.next()).text, 'kept <b>');
    });

    scenario('takes what is said again for what it is, and nobody for somebody else', life, async (test) => {
      const room = newRoom();
      const [ann, ben] = [await connect(test), await connect(test, { passcode: 'another secret of 16' })];
      const inbox = await ann.subscribe(`/topic/chat.${room}`);
      for (let n = 0; n < 3; n += 1) await ann.say(room, 'once', 'the-id');
      await ben.say(room, 'mine', 'the-id');
      await ann.say(room, 'the end');
      const texts = [];
      while (texts.at(-1) !== 'the end') texts.push(JSON.parse(await inbox.next()).text);
      assert.deepEqual(texts, ['once', 'mine', 'the end']);
    });

    scenario('gives what was said page by page, and says where it ends', life, async (test) => {
      const room = newRoom();
      const client = await connect(test);
      await client.sayAll(room, ['1', '2', '3', '4', '5']);
      const answers = await client.subscribe('/user/queue/chat');
      const pages = [];
      for (let before = null; pages.length === 0 || before !== null;) {
        await client.send(history(room), ask({ before, limit: 2 }));
        const page = JSON.parse(await answers.next());
        assert.equal(page.request, 'r');
        assert.equal(page.truncated, false);
        pages.push(page.messages.map(({ body }) => JSON.parse(body).text));
        before = page.before;
      }
      assert.deepEqual(pages, [['4', '5'], ['2', '3'], ['1']]);
      const other = newRoom();
      await client.say(other, 'x');
      await client.send(history(room), ask({ limit: 2 }));
      const { before } = JSON.parse(await answers.next());
      client.publish(history(other), ask({ before }));
      assert.match((await client.refusal()).body, /no cursor/, 'a cursor is of one room');
    });

    scenario('greets with the newest positions, and lists each room once', life, async (test) => {
      const room = newRoom();
      const client = await connect(test);
      await client.say(room, 'x');
      const answers = await client.subscribe('/user/queue/chat');
      await client.send('/app/chat/hello', JSON.stringify({ request: 'r', rooms: [room, newRoom(), 'a.b'] }));
      const { newest, node } = JSON.parse(await answers.next());
      assert.deepEqual(Object.keys(newest), [room]);
      assert.match(newest[room], /^[0-9a-f]+-1$/);
      assert.match(node, /^[0-9a-f]{16}$/);
      for (let n = 0; n < 3; n += 1) await client.send('/app/chat/rooms', room);
      await client.send('/app/chat/rooms', `${room}-2`);
      const list = await client.subscribe('/topic/chat-rooms', { history: '1000' });
      const names = [];
      while (names.at(-1) !== `${room}-2`) names.push(await list.next());
      assert.equal(names.filter((listed) => listed === room).length, 1);
    });
  });
}

function many(count) {
  return JSON.stringify({ request: 'r', rooms: Array.from({ length: count }, newRoom) });
}

function ask(question) {
  return JSON.stringify({ request: 'r', before: null, limit: 10, ...question });
}
