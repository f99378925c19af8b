import { concatBytes } from '#kernel/bytes.ts';
import { fail, ok, type Result } from '#kernel/result.ts';

/** What a backend learns about a caller. */
export interface ProxyHeader {
  /** The caller's proven identity, in TLV {@link SPIFFE_ID_TYPE}. */
  readonly spiffeId: string;
  /** The service that was asked for, in `PP2_TYPE_AUTHORITY`. */
  readonly service: string;
}

/** Why bytes are no header of ours. */
type ProxyHeaderRefusal = 'PROXY_HEADER_TRUNCATED' | 'PROXY_HEADER_MALFORMED';

/** haproxy proxy-protocol.txt §2.2: twelve bytes that no other protocol begins with. */
const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const VERSION_2_PROXY = 0x21;
const UNSPEC = 0x00;
const FIXED_BYTES = 16;
const AUTHORITY_TYPE = 0x02;
/** In the range that §2.2.7 keeps for applications (0xE0 to 0xEF). */
const SPIFFE_ID_TYPE = 0xea;
const MOST_TLV_BYTES = 2048;

/**
 * PROXY protocol v2, command PROXY, family UNSPEC: the caller is an identity in the mesh and has no address that the backend
 * could use, so the address block is empty and a receiver keeps the addresses of its own connection (§2.2). LOCAL would be
 * wrong: it says that the proxy itself is the caller, and receivers skip its TLVs.
 */
export function encodeProxyHeader({ spiffeId, service }: ProxyHeader): Uint8Array {
  const body = concatBytes([encodeTlv(AUTHORITY_TYPE, service), encodeTlv(SPIFFE_ID_TYPE, spiffeId)]);
  const fixed = Uint8Array.of(...SIGNATURE, VERSION_2_PROXY, UNSPEC, body.byteLength >> 8, body.byteLength & 0xff);
  return concatBytes([fixed, body]);
}

/** Reads what {@link encodeProxyHeader} wrote; `length` is where the application's bytes begin. */
export function decodeProxyHeader(bytes: Uint8Array): Result<ProxyHeader & { length: number }, ProxyHeaderRefusal> {
  for (let i = 0; i < Math.min(SIGNATURE.byteLength, bytes.byteLength); i++) {
    if (bytes[i] !== SIGNATURE[i]) return fail('PROXY_HEADER_MALFORMED');
  }
  if (bytes.byteLength < FIXED_BYTES) return fail('PROXY_HEADER_TRUNCATED');
  if (bytes[12] !== VERSION_2_PROXY || bytes[13] !== UNSPEC) return fail('PROXY_HEADER_MALFORMED');
  const length = FIXED_BYTES + readUint16(bytes, 14);
  if (bytes.byteLength < length) return fail('PROXY_HEADER_TRUNCATED');
  const values = decodeTlvs(bytes.subarray(FIXED_BYTES, length));
  const spiffeId = values?.get(SPIFFE_ID_TYPE);
  const service = values?.get(AUTHORITY_TYPE);
  if (spiffeId === undefined || service === undefined) return fail('PROXY_HEADER_MALFORMED');
  return ok({ spiffeId, service, length });
}

function encodeTlv(type: number, text: string): Uint8Array {
  const value = new TextEncoder().encode(text);
  if (value.byteLength > MOST_TLV_BYTES) throw new RangeError('SPIFFE IDs end at 2048 bytes');
  return concatBytes([Uint8Array.of(type, value.byteLength >> 8, value.byteLength & 0xff), value]);
}

function decodeTlvs(bytes: Uint8Array): ReadonlyMap<number, string> | undefined {
  const values = new Map<number, string>();
  let offset = 0;
  while (offset < bytes.byteLength) {
    if (offset + 3 > bytes.byteLength) return undefined;
    const end = offset + 3 + readUint16(bytes, offset + 1);
    if (end > bytes.byteLength) return undefined;
    values.set(bytes[offset] ?? 0, new TextDecoder().decode(bytes.subarray(offset + 3, end)));
    offset = end;
  }
  return values;
}

function readUint16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] ?? 0) * 256 + (bytes[offset + 1] ?? 0);
}
