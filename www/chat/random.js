// Names that nobody else gives. Not crypto.randomUUID: browsers keep that from pages without TLS, as phones see them on
// the way to a laptop.

/** 128 random bits in hex. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
