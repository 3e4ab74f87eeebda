// The results of all trials as docs/reliability.md.

import { stompPart } from './stomp-document.js';
import { capital, endsText, table } from './table.js';

const COLUMNS = [
  'transport',
  'clients',
  'sessions ended',
  'delivered',
  'lost',
  'repeated',
  'reordered',
  'gaps told',
  'handled again',
  'promised',
];

/**
 * @param {object} results
 * @param {object} results.setting what was done, in numbers
 * @param {{event: object, rows: object[], outcomes: object}[]} results.events trials of what happens to nodes
 * @param {{event: object, rows: object[], outcomes: object, unready: number}[]} results.faults trials of Redis
 * @param {{event: object, rows: object[], accepted: number}[]} results.stomp trials of STOMP
 */
export function documentOf({ setting, events, faults, stomp }) {
  return `# What clients get when nodes and Redis fail

Every message accounted for, as stock clients saw it. This page is written by \`npm run reliability\` in \`client-tests\`,
which fails where an observation breaks a promise; a shorter form of it is a part of \`./test\`.

Three nodes, one Redis, and the nginx of [\`deploy/nginx.conf\`](../deploy/nginx.conf), which gives each request to the next
node. Clients are stock sockjs-client 1.6.1, in Node and in headless Chromium. Each sends a numbered message every
${setting.sendMs / 1000} s, every fifth of which keeps its handler busy for 0.4 s, and is answered; a publisher at each node
publishes a numbered message every ${setting.publishMs / 1000} s to all. A client whose session has ended opens another.

- **Sessions ended**: how many, and with which codes. A session that lived to the end must have everything that was
  published, and an answer to all it sent; one that ended must have everything up to its last message.
- **Lost, repeated, reordered**: among what sessions received, in the order of the channel and of their own messages.
- **Gaps told**: sessions that were closed with 4504, since messages are not there any more.
- **Handled again**: messages whose handler ran a second time, because the node that ran it died.
- **Not noticed**: sessions that are over while their client goes on waiting, for it does not see that its stream was cut.
  The stock client in Node does not see that of xhr-streaming, nor a browser that of htmlfile; they learn of it by the next
  message that they send.

## Nodes

${setting.seconds} s each. The lease of a node is ${setting.lease} s, and ${setting.stopLease} s where nodes are stopped, so that its end is seen; the default is
15 s. A node that is stopped for longer than \`--disconnect-delay\`, 5 s by default, ends the sessions whose next request waits
there: the balancer does not know that it waits in vain.

${events.map(eventSection).join('\n\n')}

## Redis

${setting.faultSeconds} s each, ${setting.faultClients} clients in Node of each of websocket, xhr-streaming, eventsource and xhr-polling, leases of
${setting.faultLease} s. *Not ready* is the longest time for which \`/readyz\` of a node did not say that it is ready.

${table(
  [
    'fault',
    'sessions ended',
    'delivered',
    'lost',
    'repeated',
    'reordered',
    'gaps told',
    'publishes accepted, refused, unknown',
    'not ready',
    'promised',
  ],
  faults.map(faultRow),
)}

After \`FLUSHALL\` the sessions are gone as well. Who polls or sends is answered like one whom nobody knows, which stock
clients report as 1006; who waits is told of the gap. Of their ends the service may not be told.

${stompPart({ setting, stomp })}`;
}

function eventSection({ event, rows, outcomes }) {
  const { accepted, refused, unknown, cut } = outcomes;
  return `### ${capital(event.text)}

${table(COLUMNS, rows.map(eventRow))}

Publishers: ${accepted} messages accepted, ${refused} refused, ${unknown} unknown, ${cut} whose node was gone before it said.`;
}

function eventRow({ place, transport, account, promised }) {
  const { clients, delivered, lost, repeated, reordered, handledAgain, hung } = account;
  const unnoticed = hung > 0 ? `; ${hung} not noticed` : '';
  return [
    `${transport}, ${place}`,
    clients,
    `${endsText(account.ends)}${unnoticed}`,
    delivered,
    lost,
    repeated,
    reordered,
    account.ends[4504] ?? 0,
    handledAgain,
    promised,
  ];
}

function faultRow({ event, rows, outcomes, unready }) {
  const sum = (name) => rows.reduce((total, { account }) => total + account[name], 0);
  const ends = {};
  for (const { account } of rows) {
    for (const [code, count] of Object.entries(account.ends)) ends[code] = (ends[code] ?? 0) + count;
  }
  return [
    event.text,
    endsText(ends),
    sum('delivered'),
    sum('lost'),
    sum('repeated'),
    sum('reordered'),
    ends[4504] ?? 0,
    `${outcomes.accepted}, ${outcomes.refused}, ${outcomes.unknown}`,
    unready === 0 ? 'never' : unready < 0.1 ? 'under 0.1 s' : `${unready.toFixed(1)} s`,
    rows[0].promised,
  ];
}
