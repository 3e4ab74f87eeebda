// Texts that a transport, an escape or a proxy may change on the way.

const CHARACTERS_PER_MESSAGE = 4096;
const isSurrogate = (codePoint) => codePoint >= 0xd800 && codePoint <= 0xdfff;

/** Every code point of the Basic Multilingual Plane, in messages of 4,096. */
export const basicPlane = ranges(0x0000, 0xffff);

/** Emoji: all assigned blocks, sequences of several code points, and the ends of the other planes. */
export const emoji = [
  ...ranges(0x1f000, 0x1faff),
  '👩‍👩‍👧‍👦 🏳️‍🌈 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇪🇺 👍🏽 1️⃣ ❤️‍🔥',
  '\u{10000}\u{1ffff}\u{20000}\u{2ffff}\u{e0001}\u{10fffe}\u{10ffff}',
];

/** Texts that mean something to one of the layers that they pass. */
export const treacherous = [
  '',
  ' ',
  'o',
  'h',
  'a["nested"]',
  'c[3000,"Go away!"]',
  '\n',
  '\r\n\r\n',
  'data: o\r\n\r\n',
  '"\\"\\\\',
  "');alert(1);('",
  '100% sure %41 %80 %E2%82 %25 %',
  'a+b&d=%5B%5D;c=#fragment?',
  '</script><script>parent.broken = true</script>',
  '<!--<script>',
  ']]>',
  '\u0000\u0000',
  '\u2028\u2029',
  '\ufeffbyte order mark',
  'e\u0301 and \u00e9 are not made one',
  '\u202eright to left\u202c',
];

function ranges(first, last) {
  const messages = [];
  for (let start = first; start <= last; start += CHARACTERS_PER_MESSAGE) {
    const points = [];
    for (let point = start; point <= Math.min(last, start + CHARACTERS_PER_MESSAGE - 1); point += 1) {
      if (!isSurrogate(point)) points.push(String.fromCodePoint(point));
    }
    if (points.length > 0) messages.push(points.join(''));
  }
  return messages;
}
