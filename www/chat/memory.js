// What the browser remembers for the page. Where it may not remember anything, the page lives for this visit.

const PREFIX = 'sockhop.chat.';

/** What was remembered under this name, or null. */
export function recall(name, storage = 'localStorage') {
  try {
    return JSON.parse(globalThis[storage].getItem(PREFIX + name));
  } catch {
    return null;
  }
}

export function remember(name, value, storage = 'localStorage') {
  try {
    if (value === null) globalThis[storage].removeItem(PREFIX + name);
    else globalThis[storage].setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Full, or forbidden: nothing depends on it.
  }
}

/** Calls `changed(value)` when another tab remembers something else under this name. */
export function onRemembered(name, changed) {
  addEventListener('storage', ({ key, newValue }) => {
    if (key === PREFIX + name) changed(newValue === null ? null : JSON.parse(newValue));
  });
}
