// What a session carries arrives whole, unchanged and in order.

import { assertSameMessages } from './assertions.js';
import { basicPlane, emoji, treacherous } from './text.js';

async function echoes({ place, transport, server, life }, messages) {
  const connection = life.add(await place.connect(`${server.url}/echo`, { transports: [transport] }));
  await connection.opened();
  await connection.send(messages);
  assertSameMessages(await connection.messages(messages.length), messages);
}

export const thousandMessages = {
  claim: 'a thousand messages come back in order',
  run: (stage) =>
    echoes(
      stage,
      Array.from({ length: 1000 }, (_, number) => `message ${number}`),
    ),
};

export const wholeUnicode = {
  claim: 'every character of the basic plane and emoji come back unchanged',
  run: (stage) => echoes(stage, [...basicPlane, ...emoji]),
};

export const treacherousTexts = {
  claim: 'texts with a meaning to frames, URLs, scripts or HTML come back unchanged',
  run: (stage) => echoes(stage, treacherous),
};

export const largeMessage = {
  claim: 'a message of 100 KiB comes back whole, and the next one after it',
  run: (stage) => echoes(stage, ['0123456789abcdef'.repeat((100 * 1024) / 16), 'next']),
};
