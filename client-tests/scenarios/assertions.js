// Assertions whose failures stay readable for a thousand messages and for messages of a thousand characters.

import assert from 'node:assert/strict';

/** Asserts that `got` is `sent`, in number, order and every code unit; a failure names the first difference. */
export function assertSameMessages(got, sent) {
  const shared = Math.min(got.length, sent.length);
  for (let index = 0; index < shared; index += 1) {
    if (got[index] !== sent[index]) assert.fail(`message ${index}: ${difference(got[index], sent[index])}`);
  }
  assert.equal(got.length, sent.length, `${sent.length} messages were sent and ${got.length} came back`);
}

function difference(got, sent) {
  let unit = 0;
  while (unit < got.length && unit < sent.length && got[unit] === sent[unit]) unit += 1;
  return (
    `differs from unit ${unit} on: sent ${excerpt(sent, unit)} (${sent.length} units in all), ` +
    `got ${excerpt(got, unit)} (${got.length} units in all)`
  );
}

function excerpt(text, from) {
  const units = [...text.slice(from, from + 6)].map((character) => `U+${hex(character.codePointAt(0))}`);
  return units.join(' ') || 'its end';
}

function hex(codePoint) {
  return codePoint.toString(16).toUpperCase().padStart(4, '0');
}
