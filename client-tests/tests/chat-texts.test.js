// The texts of the chat's page: each in every language, and none that is missing or forgotten.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { TEXTS, preferred } from '../../www/chat/texts.js';

const folder = new URL('../../www/chat/', import.meta.url);

/** The names of all texts, with what each takes. */
function shape(texts, prefix = '') {
  return Object.entries(texts).flatMap(([name, text]) =>
    typeof text === 'object'
      ? shape(text, `${prefix}${name}.`)
      : [`${prefix}${name}(${text.length * (typeof text === 'function')})`],
  );
}

test('all languages have the same texts, and none is empty', () => {
  const [first, ...others] = Object.values(TEXTS);
  for (const texts of others) assert.deepEqual(shape(texts), shape(first));
  const empty = Object.values(TEXTS).flatMap((texts) => Object.entries(texts).filter(([, text]) => text === ''));
  assert.deepEqual(empty, []);
});

test('each text that the page names is there, and each that is there is named', async () => {
  const files = (await readdir(folder)).filter((file) => /\.(js|html)$/.test(file) && file !== 'texts.js');
  const source = (await Promise.all(files.map((file) => readFile(new URL(file, folder), 'utf8')))).join('\n');
  const named = [...source.matchAll(/data-(?:text|label|tip|placeholder)="(\w+)"/g)].map(([, name]) => name);
  for (const name of named) assert.ok(name in TEXTS.en, name);
  const used = (name) => new RegExp(`["'\`]${name}["'\`.]`).test(source);
  const forgotten = Object.keys(TEXTS.en).filter((name) => !used(name));
  assert.deepEqual(forgotten, []);
});

test('the first language of the browser that the page speaks is taken, or English', () => {
  assert.equal(preferred(['fr-FR', 'ko-KR', 'en']), 'ko');
  assert.equal(preferred(['en-US', 'ko']), 'en');
  assert.equal(preferred(['KO']), 'ko');
  assert.equal(preferred(['fr']), 'en');
  assert.equal(preferred([]), 'en');
});
