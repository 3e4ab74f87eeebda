// Puts the page together.

import { element, hook } from '../lab/dom.js';
import { AUTOMATIC, TRANSPORTS, fetchInfo } from '../lab/transports.js';
import { Announcer } from './announcer.js';
import { Chat } from './chat.js';
import { Conversation } from './conversation.js';
import { Entry } from './entry.js';
import { Panels } from './panels.js';
import { roomFault, tidyRoom } from './room-names.js';
import { PeoplePanel } from './people-panel.js';
import { RoomsPanel } from './rooms-panel.js';
import { Speech } from './speech.js';
import { Status } from './status.js';
import { LANGUAGES, TEXTS } from './texts.js';

const SERVICE = new URL('../demo/chat', document.baseURI).href;

const speech = new Speech();
speech.apply();
offerLanguages();

if (typeof globalThis.SockJS !== 'function' || typeof globalThis.StompJs?.Client !== 'function') complain('noClient');
else start();

function start() {
  const { SockJS, StompJs } = globalThis;
  const chat = new Chat({ url: SERVICE, SockJS, StompJs, transport: wantedTransport() });
  followAddress(chat);
  const panels = new Panels(['rooms', 'people']);
  const conversation = new Conversation(chat, speech);
  const shown = () => {
    panels.close();
    conversation.focus();
  };
  new RoomsPanel(chat, speech, shown);
  new PeoplePanel(chat, speech);
  new Status(chat, speech, SERVICE);
  new Announcer(chat, speech);
  const entry = new Entry(speech, (name) => chat.enter(name));
  chat.addEventListener('nameRefused', () => entry.ask(['nameRefused']));
  entry.start();
  // A page put away with an open connection could not be brought back from the browser's cache.
  addEventListener('pagehide', () => chat.link.stop());
  addEventListener('pageshow', ({ persisted }) => persisted && entry.start());
  chat.addEventListener('state', () => chat.link.isOpen && complain(null));
  fetchInfo(SERVICE).then((info) => info === null && !chat.link.isOpen && complain('noService'));
}

/** `?transport=xhr-polling` in the address chooses a transport. */
function wantedTransport() {
  const wanted = new URLSearchParams(location.search).get('transport');
  return TRANSPORTS.some(({ name }) => name === wanted) ? wanted : AUTOMATIC;
}

/** `#room` in the address is the room that is shown: it can be sent to others. */
function followAddress(chat) {
  const showNamed = () => {
    const name = tidyRoom(decode(location.hash.slice(1)));
    if (roomFault(name) === null) chat.show(name);
  };
  showNamed();
  addEventListener('hashchange', showNamed);
  chat.addEventListener('current', () => history.replaceState(null, '', `#${encodeURIComponent(chat.current.name)}`));
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

function offerLanguages() {
  const select = hook('language');
  const option = (value) => element('option', { value, lang: value }, TEXTS[value].language);
  select.replaceChildren(...LANGUAGES.map(option));
  select.value = speech.language;
  select.addEventListener('change', () => speech.choose(select.value));
  speech.addEventListener('change', () => speech.apply());
}

/** Says what keeps the page from working; with null, nothing does. */
function complain(text) {
  const notice = hook('notice');
  notice.hidden = text === null;
  if (text === null) return;
  notice.dataset.text = text;
  notice.textContent = speech.say(text);
}
