import { assert } from '#kernel/assert.ts';
import { asciiBytes, concatBytes } from '#kernel/bytes.ts';
import { fail, ok, type Result } from '#kernel/result.ts';
import { ByteReader, ByteWriter } from '#mesh/linkstate/byte-reader.ts';
import { MAX_BODY_BYTES, MAX_RECORD_BYTES, MAX_SEQUENCE, MAX_SIGNATURE_BYTES } from '#mesh/linkstate/limits.ts';
import { isNodeName } from '#trust/identity.ts';

/** The envelope's format; it never changes its meaning, a new one would be 2 and spoken beside this. */
const RECORD_FORMAT = 1;
export const HASH_BYTES = 32;

const SIGNATURE_CONTEXT = asciiBytes('x0/record/v1\0');

/** Position of a record among those of its origin. */
export interface Version {
  /** 1..2^53-1. */
  readonly incarnation: number;
  /** 1..{@link MAX_SEQUENCE}. */
  readonly sequence: number;
}

/** A record as it travels; nothing in it has been verified. Its views share the bytes it was parsed from. */
export interface RecordEnvelope extends Version {
  readonly origin: string;
  /** Lower-case hex. */
  readonly certificateHash: string;
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
  /** What the signature covers, after its context. */
  readonly signedBytes: Uint8Array;
  /** The whole record. */
  readonly bytes: Uint8Array;
}

export type RecordRefusal =
  | 'record-too-big'
  | 'record-version-unsupported'
  | 'record-truncated'
  | 'record-trailing-bytes'
  | 'record-body-too-big'
  | 'record-signature-too-big'
  | 'record-bad-origin'
  | 'record-incarnation-out-of-range'
  | 'record-sequence-out-of-range';

/** Everything but the signature, in wire order. */
export function encodeUnsigned(
  fields: Version & { readonly origin: string; readonly certificateHash: Uint8Array; readonly body: Uint8Array },
): Uint8Array {
  const { origin, incarnation, sequence, certificateHash, body } = fields;
  assert(isNodeName(origin), 'an origin is a node name');
  assert(certificateHash.byteLength === HASH_BYTES, 'a certificate hash has 32 bytes');
  assert(sequence >= 1 && sequence <= MAX_SEQUENCE, 'sequences are bounded');
  assert(body.byteLength <= MAX_BODY_BYTES, 'bodies are bounded');
  return new ByteWriter(2 + origin.length + 8 + 4 + HASH_BYTES + 4 + body.byteLength)
    .u8(RECORD_FORMAT)
    .u8(origin.length)
    .put(asciiBytes(origin))
    .u64(BigInt(incarnation))
    .u32(sequence)
    .put(certificateHash)
    .u32(body.byteLength)
    .put(body).bytes;
}

/** What is given to the signature algorithm for these bytes of a record. */
export function signatureInput(signedBytes: Uint8Array): Uint8Array {
  return concatBytes([SIGNATURE_CONTEXT, signedBytes]);
}

export function attachSignature(unsigned: Uint8Array, signature: Uint8Array): Uint8Array {
  assert(signature.byteLength <= MAX_SIGNATURE_BYTES, 'signatures are bounded');
  return new ByteWriter(unsigned.byteLength + 2 + signature.byteLength)
    .put(unsigned)
    .u16(signature.byteLength)
    .put(signature).bytes;
}

/** Total: any bytes give an envelope or a refusal. The body is not looked into. */
export function parseRecord(bytes: Uint8Array): Result<RecordEnvelope, RecordRefusal> {
  if (bytes.byteLength > MAX_RECORD_BYTES) return fail('record-too-big');
  const reader = new ByteReader(bytes);
  if (reader.u8() !== RECORD_FORMAT) return fail(reader.failed ? 'record-truncated' : 'record-version-unsupported');
  const origin = reader.text(reader.u8());
  const incarnation = reader.u64();
  const sequence = reader.u32();
  const certificateHash = reader.take(HASH_BYTES).toHex();
  const bodyLength = reader.u32();
  if (bodyLength > MAX_BODY_BYTES) return fail('record-body-too-big');
  const body = reader.take(bodyLength);
  const signedBytes = bytes.subarray(0, reader.offset);
  const signatureLength = reader.u16();
  if (signatureLength > MAX_SIGNATURE_BYTES) return fail('record-signature-too-big');
  const signature = reader.take(signatureLength);
  if (reader.failed) return fail('record-truncated');
  if (reader.remaining > 0) return fail('record-trailing-bytes');
  if (!isNodeName(origin)) return fail('record-bad-origin');
  if (incarnation < 1n || incarnation > BigInt(Number.MAX_SAFE_INTEGER)) return fail('record-incarnation-out-of-range');
  if (sequence < 1 || sequence > MAX_SEQUENCE) return fail('record-sequence-out-of-range');
  return ok({
    origin,
    incarnation: Number(incarnation),
    sequence,
    certificateHash,
    body,
    signature,
    signedBytes,
    bytes,
  });
}

/** Negative when `a` is older than `b`. */
export function compareVersions(a: Version, b: Version): number {
  return a.incarnation - b.incarnation || a.sequence - b.sequence;
}
