// What a message, or a note of what happened to the connection, looks like. All that came over the connection goes in as
// text.

import { element } from '../lab/dom.js';
import { avatar } from './avatar.js';
import { colourOf, parsePerson, shortMark } from './person.js';
import { dayNumber } from './speech.js';

/** Messages of one person within this time stand together. */
const TOGETHER_MS = 5 * 60_000;
const ADDRESS = /\bhttps?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]}]/g;

/** What a row shows beside the message itself: `{day, unread, head}`. */
export function surroundings(item, before, isFirstUnread) {
  const day = before === undefined || dayNumber(before.at) !== dayNumber(item.at);
  const goesOn = !day && before.user === item.user && item.at - before.at < TOGETHER_MS;
  return { day, unread: isFirstUnread, head: !goesOn || isFirstUnread };
}

/** A message's row. `own` says that it is one's own; `state` what keeps it from being there for all, or null. */
export function messageRow(item, { day, unread, head, own, state, tellApart }, speech) {
  const person = parsePerson(item.user);
  const row = element('li', { class: 'message', 'data-own': own, 'data-head': head });
  row.dataset.id = item.id;
  if (day) row.append(line('day', speech.day(item.at)));
  if (unread) row.append(line('unread-line', speech.say('newLine')));
  const bubble = element('div', { class: 'bubble', dir: 'auto' }, ...withLinks(item.text));
  const said = element('div', { class: 'said' }, bubble);
  const content = element('div', { class: 'message-content' });
  content.append(...heading(item, person, { head, tellApart }, speech), said);
  if (state !== null) {
    row.dataset.state = state.kind;
    content.append(element('p', { class: 'message-state' }, state.text, ...(state.action ?? [])));
  }
  row.append(element('div', { class: 'message-line' }, head ? avatar(person) : avatarSpace(), content));
  return row;
}

/** A note's row. */
export function noteRow(item, { day }, text, speech) {
  const row = element('li', { class: 'note' });
  if (day) row.append(line('day', speech.day(item.at)));
  const lines = text.map((line) => element('span', {}, line));
  row.append(element('p', { class: 'note-text', 'data-testid': 'note' }, ...lines));
  return row;
}

/** A line across the list, with a text in it. */
function line(name, text) {
  return element('div', { class: name }, element('span', {}, text));
}

function heading(item, person, { head, tellApart }, speech) {
  const time = element(
    'time',
    { datetime: new Date(item.at).toISOString(), title: speech.moment(item.at) },
    speech.time(item.at),
  );
  if (!head) {
    // For those who do not see that it goes on.
    return [element('span', { class: 'visually-hidden' }, `${person.name}, `, time, ': ')];
  }
  const name = element('bdi', { class: 'message-name' }, person.name);
  const mark = tellApart ? [element('span', { class: 'message-mark' }, shortMark(person))] : [];
  return [element('p', { class: 'message-head', 'data-colour': colourOf(person) }, name, ...mark, ' ', time)];
}

function avatarSpace() {
  return element('span', { class: 'avatar-space' });
}

/** A text with its addresses as links. */
function withLinks(text) {
  const parts = [];
  let end = 0;
  for (const { 0: address, index } of text.matchAll(ADDRESS)) {
    parts.push(text.slice(end, index));
    parts.push(element('a', { href: address, target: '_blank', rel: 'noopener noreferrer nofollow' }, address));
    end = index + address.length;
  }
  parts.push(text.slice(end));
  return parts.filter((part) => part !== '');
}
