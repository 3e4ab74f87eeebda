// Names of rooms, which are parts of destinations: letters and digits of any script, `-` and `_`, in small letters.

const ROOM_LIMIT = 32;
/** Where everybody begins. */
export const LOBBY = 'lobby';

const ROOM = /^[\p{L}\p{M}\p{N}_-]+$/u;

/** The name that is meant by what somebody types. */
export function tidyRoom(text) {
  return text.normalize('NFC').trim().replace(/^#/, '').replaceAll(/\s+/g, '-').toLowerCase();
}

/** Why a name is none: the name of a text that says so, and what that needs; or null. */
export function roomFault(name) {
  if (typeof name !== 'string' || name === '') return ['roomEmpty'];
  if ([...name].length > ROOM_LIMIT) return ['roomLong', ROOM_LIMIT];
  return ROOM.test(name) && name === tidyRoom(name) ? null : ['roomOdd'];
}
