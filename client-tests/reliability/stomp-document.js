// The results of STOMP trials as a part of docs/reliability.md.

import { capital, endsText, table } from './table.js';

const COLUMNS = [
  'subscription',
  'clients',
  'connections ended',
  'delivered',
  'lost',
  'repeated',
  'reordered',
  'promised',
];
const HEADING = '## STOMP';

/** The part of the document. */
export function stompPart({ setting, stomp }) {
  return `${HEADING}

${setting.seconds} s each, ${setting.stompClients} clients in Node of each row: stock @stomp/stompjs 7 over sockjs-client. A publisher at each node
sends every ${setting.stompMs / 1000} s to each destination and asks for receipts. A client whose connection has ended connects and
subscribes again, with \`after\` where that is said: then nothing may be missing or come twice over all of its connections, and
every message whose receipt came has to be there; otherwise within each. Heart-beats go to and fro every 3 s: by them the
client in Node notices that a stream was cut.

${stomp.map(part).join('\n\n')}
`;
}

/** The document with this part in place of the one that it has, or at its end. */
export function withStompPart(text, part) {
  const at = text.indexOf(`${HEADING}\n`);
  if (at < 0) return `${text.trimEnd()}\n\n${part}`;
  const next = text.indexOf('\n## ', at + HEADING.length);
  return text.slice(0, at) + part + (next < 0 ? '' : text.slice(next));
}

function part({ event, rows, accepted }) {
  return `### STOMP: ${capital(event.text)}

${table(COLUMNS, rows.map(row))}

Publishers: ${accepted} messages with a receipt.`;
}

function row({ kind, transport, account, promised }) {
  const { clients, delivered, lost, repeated, reordered } = account;
  return [`${kind}, ${transport}`, clients, endsText(account.ends), delivered, lost, repeated, reordered, promised];
}
