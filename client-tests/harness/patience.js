// How long things may take. All of it is far above what an idle machine needs, so that a busy one passes too.

export const OPEN_MS = 15_000;
export const MESSAGES_MS = 15_000;
export const HEARTBEATS_MS = 10_000;
export const CLOSE_MS = 10_000;

/** How much longer than the page itself a test waits for the page's answer. */
export const PAGE_GRACE_MS = 5_000;

/** One test, all in all. */
export const TEST_MS = 60_000;

/** How long a client may wait for a transport's open frame. */
const TRANSPORT_MS = 12_000;

/**
 * The client's own options. By its own rule a client gives a transport some 300 to 900 ms before it falls back;
 * here it is patient, unless a test is about that rule.
 *
 * @param {{transports?: string[], patient?: boolean}} [options]
 */
export function clientOptions({ transports, patient = true } = {}) {
  return { ...(transports && { transports }), ...(patient && { timeout: TRANSPORT_MS }) };
}
