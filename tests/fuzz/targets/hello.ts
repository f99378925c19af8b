import { decodeHello, encodeHello, NO_TUNNEL_ID } from '#mesh/mux/frame.ts';
import { check, checkSame, type FuzzTarget } from '../fuzz-target.ts';

export const hello: FuzzTarget = {
  name: 'hello',
  corpus: () => {
    const plain = { version: 1, oldestVersion: 1, incarnation: 1_763_769_600_000, features: 7 };
    const ids = { tunnelId: new Uint8Array(16).fill(9), replaces: NO_TUNNEL_ID };
    const refusal = { code: 'CERT_REVOKED', hop: 'rome' };
    return [encodeHello({ ...plain, ...ids }), encodeHello({ ...plain, ...ids, refusal })];
  },
  run(input) {
    const read = decodeHello(input);
    if (!read.ok) return false;
    check(read.value.tunnelId.byteLength === 16 && read.value.replaces.byteLength === 16, 'ids have 16 bytes');
    check(read.value.oldestVersion <= read.value.version && read.value.version >= 1, 'versions in order');
    checkSame(decodeHello(encodeHello(read.value)), read, 'again');
    return true;
  },
};
