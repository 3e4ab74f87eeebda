// Puts the page together: fills the transport lists, marks what cannot work here, and starts its sections.

import { Comparison } from './compare.js';
import { ConnectionPanel } from './connection-panel.js';
import { element, hook } from './dom.js';
import { NodesPanel } from './nodes-panel.js';
import { Room } from './room.js';
import { AUTOMATIC, TRANSPORTS, fetchInfo, unavailableBecause } from './transports.js';

const ECHO = serviceUrl('demo/echo');
const ROOM = serviceUrl('demo/room');

if (typeof globalThis.SockJS === 'function') start();
else say('The client script (vendor/sockjs-1.6.1.min.js) did not load, so nothing on this page can connect.');

function start() {
  const selects = [hook('transport-select'), hook('room-transport')];
  for (const select of selects) fillSelect(select);
  preselect(selects[0]);
  const nodes = new NodesPanel();
  const comparison = new Comparison(ECHO);
  const sections = [new ConnectionPanel(ECHO, nodes), nodes, comparison, new Room(ROOM)];
  showSupport(selects, comparison);
  nodes.start();
  // A page put away with open connections could not be brought back from the browser's cache.
  addEventListener('pagehide', () => sections.forEach((section) => section.stop()));
}

function fillSelect(select) {
  const automatic = element('option', { value: AUTOMATIC }, 'automatic');
  select.replaceChildren(automatic, ...TRANSPORTS.map(({ name }) => element('option', { value: name }, name)));
}

/** `?transport=xhr-polling` in the address chooses a transport, so that a setting can be shared as a link. */
function preselect(select) {
  const wanted = new URLSearchParams(location.search).get('transport');
  if (TRANSPORTS.some(({ name }) => name === wanted)) select.value = wanted;
}

async function showSupport(selects, comparison) {
  const sameOrigin = new URL(ECHO).origin === location.origin;
  comparison.showSupport({ info: null, sameOrigin });
  const info = await fetchInfo(ECHO);
  if (info === null) say(`The server does not answer at ${ECHO}/info.`);
  comparison.showSupport({ info, sameOrigin });
  const missing = TRANSPORTS.map(({ name }) => ({
    name,
    reason: unavailableBecause(name, { info, sameOrigin }),
  })).filter(({ reason }) => reason !== null);
  for (const { name, reason } of missing) {
    for (const select of selects) disableOption(select, name, reason);
  }
  const list = hook('unavailable');
  list.replaceChildren(
    ...missing.map(({ name, reason }) => element('li', {}, element('code', {}, name), ` is not available: ${reason}.`)),
  );
  list.hidden = missing.length === 0;
}

function disableOption(select, name, reason) {
  const option = select.querySelector(`option[value="${name}"]`);
  option.disabled = true;
  option.textContent = `${name} (not available: ${reason})`;
  if (select.value !== name || select.disabled) return;
  select.value = AUTOMATIC;
  select.dispatchEvent(new Event('change'));
}

function say(sentence) {
  const notice = hook('notice');
  notice.textContent = sentence;
  notice.hidden = false;
}

function serviceUrl(path) {
  return new URL(path, document.baseURI).href;
}
