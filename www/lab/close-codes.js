// What a close code means, in words for a person in front of the page.

const MEANINGS = new Map([
  [1000, 'The connection was ended normally.'],
  [1001, 'The other side is going away.'],
  [1002, 'The server could not be reached, or a receiver was cut.'],
  [1003, 'The server does not take this kind of data.'],
  [1006, 'The connection was lost without a goodbye.'],
  [1007, 'The text was not valid UTF-8.'],
  [1008, "The message was against the server's rules."],
  [1009, 'The message was larger than the server takes.'],
  [1011, 'The server met an unexpected condition.'],
  [1012, 'The server is restarting.'],
  [1013, 'The server is too busy; try again later.'],
  [2000, 'No allowed transport could be opened.'],
  [2007, 'The transport did not open in time.'],
  [2010, 'Another receiver of this session is still open.'],
  [3000, "The server's application ended the session."],
  [4500, 'The server met an error while it handled a message.'],
  [4501, 'This client read too slowly: its unread messages went over the limit.'],
  [4502, 'This client sent more messages than it may.'],
  [4504, 'Some messages were missed and could not be replayed.'],
  [4505, 'The server is going away; another connection will work.'],
  [4513, 'The application has ended the session.'],
]);

/** One sentence for a code; application codes that are not ours are named as such. */
export function meaningOf(code) {
  const known = MEANINGS.get(code);
  if (known) return known;
  if (code >= 3000 && code <= 4999) return 'The application ended the session with a code of its own.';
  return 'The connection ended.';
}

/** The code, its meaning, and the server's own reason where that adds something. */
export function describeClose({ code, reason }) {
  const words = (reason ?? '').trim();
  const said = words === '' || words === 'Normal closure' ? '' : ` Reason given: “${words.slice(0, 200)}”.`;
  return `${code}: ${meaningOf(code)}${said}`;
}
