import { assert } from '#kernel/assert.ts';
import { asciiBytes } from '#kernel/bytes.ts';
import { fail, ok, type Result } from '#kernel/result.ts';
import { ByteReader, ByteWriter } from '#mesh/linkstate/byte-reader.ts';
import {
  MAX_CERTIFICATE_BYTES,
  MAX_DIGEST_ENTRIES,
  MAX_HASHES,
  MAX_MESSAGE_BYTES,
  MAX_REQUEST_ENTRIES,
} from '#mesh/linkstate/limits.ts';
import { HASH_BYTES, type Version } from '#mesh/linkstate/record.ts';
import { isNodeName } from '#trust/identity.ts';

const MESSAGE_FORMAT = 1;

/** One record as a digest names it. */
export interface DigestEntry extends Version {
  readonly origin: string;
  /** SHA-256 of the record, lower-case hex. */
  readonly hash: string;
}

/** What neighbours tell each other on the linkstate stream. Hashes are lower-case hex. */
export type Message =
  /** Hash over all entries of the sender: equal ones need no digest. */
  | { readonly kind: 'summary'; readonly hash: string }
  /** Part of what the sender has; the receiver requests what is newer than its own. */
  | { readonly kind: 'digest'; readonly entries: readonly DigestEntry[] }
  | { readonly kind: 'request'; readonly origins: readonly string[] }
  | { readonly kind: 'record'; readonly record: Uint8Array }
  | { readonly kind: 'certificate-request'; readonly hashes: readonly string[] }
  | { readonly kind: 'certificate'; readonly der: Uint8Array };

export type MessageRefusal =
  | 'message-too-big'
  | 'message-version-unsupported'
  | 'message-unknown-kind'
  | 'message-malformed';

const KIND_CODES = { summary: 1, digest: 2, request: 3, record: 4, 'certificate-request': 5, certificate: 6 } as const;

export function encodeMessage(message: Message): Uint8Array {
  const payload = encodePayload(message);
  const writer = new ByteWriter(2 + payload.byteLength).u8(MESSAGE_FORMAT).u8(KIND_CODES[message.kind]).put(payload);
  assert(writer.bytes.byteLength <= MAX_MESSAGE_BYTES, 'messages are bounded');
  return writer.bytes;
}

function encodePayload(message: Message): Uint8Array {
  switch (message.kind) {
    case 'summary':
      return Uint8Array.fromHex(message.hash);
    case 'digest':
      return encodeDigest(message.entries);
    case 'request':
      return encodeRequest(message.origins);
    case 'record':
      return message.record;
    case 'certificate-request':
      return encodeHashes(message.hashes);
    default:
      return message.der;
  }
}

/** Total: any bytes give a message or a refusal. Views share the given bytes. */
export function parseMessage(bytes: Uint8Array): Result<Message, MessageRefusal> {
  if (bytes.byteLength > MAX_MESSAGE_BYTES) return fail('message-too-big');
  const reader = new ByteReader(bytes);
  const format = reader.u8();
  const code = reader.u8();
  if (reader.failed) return fail('message-malformed');
  if (format !== MESSAGE_FORMAT) return fail('message-version-unsupported');
  if (code < 1 || code > 6) return fail('message-unknown-kind');
  const message = parsePayload(code, reader);
  return message === undefined || reader.failed || reader.remaining > 0 ? fail('message-malformed') : ok(message);
}

function parsePayload(code: number, reader: ByteReader): Message | undefined {
  switch (code) {
    case KIND_CODES.summary:
      return { kind: 'summary', hash: reader.take(HASH_BYTES).toHex() };
    case KIND_CODES.digest:
      return parseDigest(reader);
    case KIND_CODES.request:
      return parseRequest(reader);
    case KIND_CODES.record:
      return { kind: 'record', record: reader.take(reader.remaining) };
    case KIND_CODES['certificate-request']:
      return parseHashes(reader);
    default:
      return reader.remaining > MAX_CERTIFICATE_BYTES
        ? undefined
        : { kind: 'certificate', der: reader.take(reader.remaining) };
  }
}

function encodeDigest(entries: readonly DigestEntry[]): Uint8Array {
  assert(entries.length <= MAX_DIGEST_ENTRIES, 'digests are bounded');
  const length = entries.reduce((sum, { origin }) => sum + 1 + origin.length + 8 + 4 + HASH_BYTES, 2);
  const writer = new ByteWriter(length).u16(entries.length);
  for (const { origin, incarnation, sequence, hash } of entries) {
    writer
      .u8(origin.length)
      .put(asciiBytes(origin))
      .u64(BigInt(incarnation))
      .u32(sequence)
      .put(Uint8Array.fromHex(hash));
  }
  return writer.bytes;
}

function parseDigest(reader: ByteReader): Message | undefined {
  const count = reader.u16();
  if (count > MAX_DIGEST_ENTRIES) return undefined;
  const entries: DigestEntry[] = [];
  for (let i = 0; i < count; i++) {
    const origin = reader.text(reader.u8());
    const incarnation = reader.u64();
    const sequence = reader.u32();
    const hash = reader.take(HASH_BYTES).toHex();
    if (reader.failed || !isNodeName(origin) || incarnation > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
    entries.push({ origin, incarnation: Number(incarnation), sequence, hash });
  }
  return { kind: 'digest', entries };
}

function encodeRequest(origins: readonly string[]): Uint8Array {
  assert(origins.length <= MAX_REQUEST_ENTRIES, 'requests are bounded');
  const writer = new ByteWriter(origins.reduce((sum, origin) => sum + 1 + origin.length, 2)).u16(origins.length);
  for (const origin of origins) writer.u8(origin.length).put(asciiBytes(origin));
  return writer.bytes;
}

function parseRequest(reader: ByteReader): Message | undefined {
  const count = reader.u16();
  if (count > MAX_REQUEST_ENTRIES) return undefined;
  const origins: string[] = [];
  for (let i = 0; i < count; i++) {
    const origin = reader.text(reader.u8());
    if (reader.failed || !isNodeName(origin)) return undefined;
    origins.push(origin);
  }
  return { kind: 'request', origins };
}

function encodeHashes(hashes: readonly string[]): Uint8Array {
  assert(hashes.length <= MAX_HASHES, 'certificate requests are bounded');
  const writer = new ByteWriter(1 + hashes.length * HASH_BYTES).u8(hashes.length);
  for (const hash of hashes) writer.put(Uint8Array.fromHex(hash));
  return writer.bytes;
}

function parseHashes(reader: ByteReader): Message | undefined {
  const count = reader.u8();
  if (count > MAX_HASHES) return undefined;
  const hashes: string[] = [];
  for (let i = 0; i < count; i++) hashes.push(reader.take(HASH_BYTES).toHex());
  return { kind: 'certificate-request', hashes };
}

/** What a summary hashes: all entries in the order of their names. */
export function summaryInput(entries: readonly DigestEntry[]): Uint8Array {
  const writer = new ByteWriter(entries.reduce((sum, { origin }) => sum + 1 + origin.length + HASH_BYTES, 0));
  for (const { origin, hash } of entries)
    writer.u8(origin.length).put(asciiBytes(origin)).put(Uint8Array.fromHex(hash));
  return writer.bytes;
}
