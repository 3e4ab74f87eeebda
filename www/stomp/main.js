// A subscription that survives its connection: the stock client, and one header.

import { Account } from './account.js';

const TOPIC = '/topic/demo';
const SERVICE = new URL('../demo/stomp', document.baseURI).href;
const AWAY_MS = 3_000;
const MOST_ROWS = 200;

const at = (name) => document.querySelector(`[data-testid="${name}"]`);
const account = new Account();
/** Since when the receiver is connected: what was sent before that came while it was away. */
let since = 0;
/** A text, or the next of the numbers. */
let number = 0;

const receiver = client(AWAY_MS);
const sender = client(1_000);

if (receiver && sender) start();
else {
  say('The client scripts in vendor/ did not load, so this page cannot connect.');
}

function client(reconnectDelay) {
  const { StompJs, SockJS } = window;
  if (!StompJs || !SockJS) return null;
  return new StompJs.Client({ webSocketFactory: () => new SockJS(SERVICE), reconnectDelay });
}

function start() {
  receiver.onConnect = subscribe;
  receiver.onWebSocketClose = () => show('waiting', 'Away: messages go on');
  receiver.onStompError = ({ headers }) => {
    say(`The server says: ${headers.message}.`);
    // What it does not keep any more cannot be asked for.
    if (headers.message === 'position not kept') account.last = undefined;
  };
  sender.onConnect = () => (at('send').disabled = false);
  sender.onWebSocketClose = () => (at('send').disabled = true);
  at('cut').addEventListener('click', cut);
  at('send-form').addEventListener('submit', submit);
  setInterval(tick, 1_000);
  receiver.activate();
  sender.activate();
}

function subscribe() {
  const back = since > 0;
  since = Date.now();
  const { last } = account;
  receiver.subscribe(TOPIC, receive, last ? { after: last } : { history: '5' });
  show('open', back ? 'Back, from where it was' : 'Connected');
}

function receive({ headers, body }) {
  const sent = Number(headers['sent-at']);
  // Of the first subscription, what was there before it.
  const away = account.last !== undefined && sent > 0 && sent < since && at('state').dataset.cut === 'true';
  account.add(headers['message-id'], away);
  row(headers['message-id'], body, away);
  for (const [name, count] of [
    ['came', account.came],
    ['while-away', account.whileAway],
    ['missing', account.missing],
    ['twice', account.twice],
  ]) {
    at(name).textContent = count;
  }
  if (at('account').textContent !== account.text) at('account').textContent = account.text;
}

function row(id, body, away) {
  const item = document.createElement('li');
  item.append(part('code', id));
  if (away) item.append(part('span', 'while away', 'stomp-away'));
  item.append(part('span', body, 'stomp-text'));
  const list = at('messages');
  list.prepend(item);
  while (list.children.length > MOST_ROWS) list.lastElementChild.remove();
  at('empty').hidden = true;
}

function part(kind, text, style = '') {
  const made = document.createElement(kind);
  made.textContent = text;
  made.className = style;
  return made;
}

/** As a tunnel or a lift does it: the socket is gone, and nobody has said goodbye. */
function cut() {
  at('state').dataset.cut = 'true';
  receiver.forceDisconnect();
}

function submit(event) {
  event.preventDefault();
  const text = at('text').value.trim();
  if (text) publish(text);
  at('text').value = '';
  at('text').focus();
}

function tick() {
  if (!at('numbers').checked || !sender.connected || document.hidden) return;
  number += 1;
  publish(`number ${number}`);
}

function publish(body) {
  sender.publish({ destination: TOPIC, body, headers: { 'sent-at': String(Date.now()) } });
}

function show(state, text) {
  at('state').dataset.state = state;
  at('state-text').textContent = text;
  at('cut').disabled = state !== 'open';
}

function say(text) {
  at('notice').textContent = text;
  at('notice').hidden = false;
}
