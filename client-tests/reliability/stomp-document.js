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
const QUEUE_COLUMNS = [
  'queue with acks',
  'consumers',
  'connections ended',
  'accepted',
  'acknowledged',
  'lost',
  'left',
  'redelivered',
  'came again',
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

Queues are those of \`/queue/**\`, one for consumers of each transport and one for consumers of all three. They subscribe with
\`ack:client-individual\`, work for a second on each message, and acknowledge it with a receipt. Every message whose receipt
came must be acknowledged by a consumer, or it is *lost*; what a last consumer finds once the others have unsubscribed is
*left*. *Redelivered* are the messages that came with the header that says so: those that a consumer had when its
connection ended. *Came again* are those of them that a consumer had seen before, and not only been sent; all must have the
header, and none may come once the receipt of its ACK has. *Acknowledged* counts those as well whose publisher got no
receipt. Of each ended connection the promise is that of its transport above.

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

function part({ event, rows, queues, accepted }) {
  return `### STOMP: ${capital(event.text)}

${table(COLUMNS, rows.map(row))}

${table(QUEUE_COLUMNS, queues.map(queueRow))}

Publishers: ${accepted} messages with a receipt.`;
}

function row({ kind, transport, account, promised }) {
  const { clients, delivered, lost, repeated, reordered } = account;
  return [`${kind}, ${transport}`, clients, endsText(account.ends), delivered, lost, repeated, reordered, promised];
}

function queueRow({ name, account }) {
  const { clients, ends, accepted, acknowledged, lost, left, redelivered, again } = account;
  return [name, clients, endsText(ends), accepted, acknowledged, lost, left, redelivered, again];
}
