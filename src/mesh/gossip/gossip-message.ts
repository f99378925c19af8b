import { encode } from '@msgpack/msgpack';
import { demand, readArray, readBinary, readInteger, readMessage } from '#trust/read.ts';
import { SNAPSHOT_LIMIT_BYTES } from '#trust/snapshot.ts';
import type { SnapshotHeader } from '#trust/snapshot.ts';

/** What neighbours say to each other about snapshots. */
export type GossipMessage =
  /** The newest that the sender believes. */
  | { readonly kind: 'have'; readonly header: SnapshotHeader }
  | { readonly kind: 'want-signer'; readonly hash: Uint8Array }
  | { readonly kind: 'signer'; readonly der: Uint8Array }
  | { readonly kind: 'want-body'; readonly hash: Uint8Array; readonly offset: number }
  /** One part of a body, as asked for: {@link PART_BYTES}, or what is left. */
  | {
      readonly kind: 'body';
      readonly hash: Uint8Array;
      readonly offset: number;
      readonly totalBytes: number;
      readonly bytes: Uint8Array;
    }
  /** Of a later version of this program. */
  | { readonly kind: 'unknown' };

/** Small enough that other streams of a link are not kept waiting, large enough for few questions. */
export const PART_BYTES = 48 * 1024;
/** A part with what is around it; also the largest certificate. */
export const MAX_GOSSIP_BYTES = 64 * 1024;
const HASH_BYTES = 32;
const CERTIFICATE_LIMIT_BYTES = 32 * 1024;
const SIGNATURE_LIMIT_BYTES = 8 * 1024;
const TAGS = { have: 1, 'want-signer': 2, signer: 3, 'want-body': 4, body: 5 } as const;

export function encodeGossip(message: Exclude<GossipMessage, { kind: 'unknown' }>): Uint8Array {
  const tag = TAGS[message.kind];
  switch (message.kind) {
    case 'have': {
      const { version, bodyHash, issuedAtMs, signerHash, signature } = message.header;
      return encode([tag, version, bodyHash, issuedAtMs, signerHash, signature]);
    }
    case 'want-signer':
      return encode([tag, message.hash]);
    case 'signer':
      return encode([tag, message.der]);
    case 'want-body':
      return encode([tag, message.hash, message.offset]);
    case 'body':
      break;
  }
  return encode([tag, message.hash, message.offset, message.totalBytes, message.bytes]);
}

/** Total and bounded; undefined for what is malformed. Items that a later version adds are ignored. */
export function decodeGossip(bytes: Uint8Array): GossipMessage | undefined {
  return readMessage(bytes, { textBytes: 0, binaryBytes: MAX_GOSSIP_BYTES, items: 16 }, readGossip);
}

function readGossip(value: unknown): GossipMessage {
  const [tag, ...items] = readArray(value, 16, (item) => item);
  switch (readInteger(tag, 0, 255)) {
    case TAGS.have:
      return { kind: 'have', header: readHeader(items) };
    case TAGS['want-signer']:
      return { kind: 'want-signer', hash: readHash(items[0]) };
    case TAGS.signer:
      return { kind: 'signer', der: readBinary(items[0], CERTIFICATE_LIMIT_BYTES) };
    case TAGS['want-body']:
      return { kind: 'want-body', hash: readHash(items[0]), offset: readOffset(items[1]) };
    case TAGS.body:
      return {
        kind: 'body',
        hash: readHash(items[0]),
        offset: readOffset(items[1]),
        totalBytes: readOffset(items[2]),
        bytes: readBinary(items[3], PART_BYTES),
      };
    default:
      return { kind: 'unknown' };
  }
}

function readHeader([version, bodyHash, issuedAtMs, signerHash, signature]: readonly unknown[]): SnapshotHeader {
  return {
    version: readInteger(version, 1, Number.MAX_SAFE_INTEGER),
    bodyHash: readHash(bodyHash),
    issuedAtMs: readInteger(issuedAtMs, 0, Number.MAX_SAFE_INTEGER),
    signerHash: readHash(signerHash),
    signature: readBinary(signature, SIGNATURE_LIMIT_BYTES),
  };
}

function readHash(value: unknown): Uint8Array {
  const hash = readBinary(value, HASH_BYTES);
  demand(hash.byteLength === HASH_BYTES, 'a SHA-256 was expected');
  return hash;
}

function readOffset(value: unknown): number {
  return readInteger(value, 0, SNAPSHOT_LIMIT_BYTES);
}
