// Small helpers for building nodes. Text always goes in as text nodes and attributes by name, so nothing
// that arrives over a connection is ever read as markup, and no inline style is set (the page's
// Content-Security-Policy allows none).

const SVG = 'http://www.w3.org/2000/svg';

export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svgElement(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** The one element that carries this hook; a missing one is a mistake in the page and is said loudly. */
export function hook(name, root = document) {
  const found = root.querySelector(`[data-testid="${name}"]`);
  if (!found) throw new Error(`the page has no element with data-testid="${name}"`);
  return found;
}

/** Whether a scrolling list shows its end, so that new lines may keep it there. */
export function isAtEnd(list) {
  return list.scrollHeight - list.scrollTop - list.clientHeight < 24;
}

export function scrollToEnd(list) {
  list.scrollTop = list.scrollHeight;
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) node.setAttribute(key, String(value));
  }
  node.append(...children);
  return node;
}
