// Who one is: a name, and a secret of this browser, of which the server makes the mark behind the name. Two people may
// have one name; their marks differ.

import { recall, remember } from './memory.js';
import { randomId } from './random.js';

export const NAME_LIMIT = 24;
const COLOURS = 8;
const NAME = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u;

/** The name that was chosen in this browser, or null. */
export function ownName() {
  const name = recall('name');
  return typeof name === 'string' && nameFault(name) === null ? name : null;
}

export function keepName(name) {
  remember('name', name);
}

/** The browser's secret, made when it is first needed: 128 random bits. */
export function ownSecret() {
  const known = recall('secret');
  if (typeof known === 'string' && known.length >= 32) return known;
  const secret = randomId();
  remember('secret', secret);
  return secret;
}

/** A name without spaces around it, and single ones inside. */
export function tidyName(text) {
  return text.normalize('NFC').trim().replaceAll(/\s+/g, ' ');
}

/** Why a text is no name: the name of a text that says so, and what that needs; or null. */
export function nameFault(name) {
  if (name === '') return ['nameEmpty'];
  if ([...name].length > NAME_LIMIT) return ['nameLong', NAME_LIMIT];
  return NAME.test(name) && !name.includes('#') ? null : ['nameOdd'];
}

/** `NAME#MARK`, as the server names a user, in its two parts. */
export function parsePerson(user) {
  const at = user.lastIndexOf('#');
  return at < 0 ? { name: user, mark: '' } : { name: user.slice(0, at), mark: user.slice(at + 1) };
}

/** As much of the mark as tells two of one name apart. */
export function shortMark({ mark }) {
  return `#${mark.slice(0, 4)}`;
}

/** A number from 1 to 8 that stays with a person. */
export function colourOf({ mark, name }) {
  let sum = 0;
  for (const letter of mark || name) sum = (sum * 31 + letter.codePointAt(0)) % 65_521;
  return (sum % COLOURS) + 1;
}

/** What stands in a person's circle. */
export function initialOf({ name }) {
  return ([...name][0] ?? '?').toLocaleUpperCase();
}
