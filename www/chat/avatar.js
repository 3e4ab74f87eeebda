// The circle that stands for a person.

import { element } from '../lab/dom.js';
import { colourOf, initialOf } from './person.js';

export function avatar(person) {
  const attributes = { class: 'avatar', 'aria-hidden': 'true', 'data-colour': colourOf(person) };
  return element('span', attributes, initialOf(person));
}
