// The control of `sockhop cluster`: what its nodes are at, and orders to them. Other servers have none.

// Beside the folder of this file, from whichever page.
const CONTROL = new URL('../cluster/', import.meta.url);

/** The node that answered, by a resource's or page's timings; null where the server does not say. */
export function nodeOf(entry) {
  return entry?.serverTiming?.find(({ name }) => name === 'node')?.description || null;
}

/** Whether this server says which node answers: only then is it worth asking for a cluster. */
export function saysNode() {
  return nodeOf(performance.getEntriesByType('navigation')[0]) !== null;
}

/** `{token, nodes: [{number, url, phase, pid, id, how}]}`, or null where there is no cluster, or none any more. */
export async function fetchCluster() {
  try {
    const response = await fetch(new URL('state', CONTROL));
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/** Tells a node `drain`, `kill` or `start`; whether the cluster took it. */
export async function order(token, number, what) {
  try {
    const url = new URL(`nodes/${number}/${what}`, CONTROL);
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'X-Cluster-Token': token },
    });
    return response.ok;
  } catch {
    return false;
  }
}
