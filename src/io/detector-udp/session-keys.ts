import type { TLSSocket } from 'node:tls';
import type { SessionKeys } from '#mesh/detector/session.ts';

/** RFC 5705 §4, RFC 8446 §7.5. */
const LABEL = 'EXPORTER-x0-detector-v1';
const KEY_BYTES = 32;
const NAME_BYTES = 8;
const SIDE_BYTES = KEY_BYTES + NAME_BYTES;

/** Both sides of a link get the same bytes from their TLS connection: those for the dialler's probes, then the acceptor's. */
export function exportSessionKeys(socket: TLSSocket, role: 'dialer' | 'acceptor'): SessionKeys {
  const bytes = socket.exportKeyingMaterial(2 * SIDE_BYTES, LABEL, Buffer.alloc(0));
  const [own, peer] = role === 'dialer' ? [0, SIDE_BYTES] : [SIDE_BYTES, 0];
  return {
    sendKey: bytes.subarray(own, own + KEY_BYTES),
    receiveKey: bytes.subarray(peer, peer + KEY_BYTES),
    sendDiscriminator: bytes.readBigUInt64BE(own + KEY_BYTES),
    receiveDiscriminator: bytes.readBigUInt64BE(peer + KEY_BYTES),
  };
}
