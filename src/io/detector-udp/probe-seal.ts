import type { DetectorPorts } from '#mesh/detector/detector.ts';
import { TAG_BYTES } from '#mesh/detector/probe.ts';

const { createHmac, timingSafeEqual } = process.getBuiltinModule('node:crypto');

/** HMAC-SHA-256, truncated to 128 bits (RFC 2104 §5). */
function tagOf(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  return createHmac('sha256', key).update(bytes).digest().subarray(0, TAG_BYTES);
}

/** The detector's cryptography by OpenSSL. */
export const sealPorts: DetectorPorts = {
  sign: tagOf,
  verify: (key, bytes, tag) => tag.byteLength === TAG_BYTES && timingSafeEqual(tagOf(key, bytes), tag),
  // Only spreads probes in time.
  fraction: () => Math.random(),
};
