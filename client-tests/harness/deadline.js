// Every wait of this suite ends: with what it waited for, or with a sentence that says what did not happen.

/**
 * The promise's own outcome, or a rejection when it takes longer than `ms`.
 *
 * @param {number} ms
 * @param {string | (() => string)} what names the awaited thing; a function is asked only when the time is over
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 * @template T
 */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      const text = typeof what === 'function' ? what() : what;
      reject(new Error(`waited ${ms} ms for ${text}`));
    }, ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
