import { encode } from '@msgpack/msgpack';
import { fail, ok } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';
import { isNodeName, isTrustDomain } from '#trust/identity.ts';
import { demand, readArray, readBinary, readInteger, readMessage, readRecord, readText } from '#trust/read.ts';

/** What a join token carries. The secret is worth one admission: never log it. */
export interface JoinToken {
  /** Public half, 16 lower-case hex digits; names the token in lists and logs. */
  readonly id: string;
  /** 32 random bytes. */
  readonly secret: Uint8Array;
  readonly node: string;
  /** Where the control plane's enrolment port answers: `host:port` or `[v6]:port`. */
  readonly addresses: readonly string[];
  /** SHA-256 of the root's DER; pins the first contact. */
  readonly rootSha256: Uint8Array;
  readonly trustDomain: string;
}

export type TokenTextRefusal = 'TOKEN_GARBLED' | 'TOKEN_UNKNOWN_VERSION';

export const TOKEN_PREFIX = 'x0join.';
export const TOKEN_SECRET_BYTES = 32;
/** Eight addresses of full length fit. */
export const TOKEN_LIMIT_CHARS = 4096;
const TOKEN_VERSION = 1;
const ADDRESS_LIMIT = 8;
const DECODE_LIMITS = { textBytes: 260, binaryBytes: TOKEN_SECRET_BYTES, items: 16 };

/** `x0join.` followed by base64url of a msgpack map. */
export function encodeJoinToken(token: JoinToken): string {
  const body = encode({
    v: TOKEN_VERSION,
    id: token.id,
    secret: token.secret,
    node: token.node,
    addresses: token.addresses,
    rootSha256: token.rootSha256,
    trustDomain: token.trustDomain,
  });
  return TOKEN_PREFIX + body.toBase64({ alphabet: 'base64url', omitPadding: true });
}

/** Total and bounded. A token that parses is not yet a token that counts: the control plane decides that. */
export function parseJoinToken(text: string): Result<JoinToken, TokenTextRefusal> {
  if (text.length > TOKEN_LIMIT_CHARS || !text.startsWith(TOKEN_PREFIX)) return fail('TOKEN_GARBLED');
  const bytes = fromBase64Url(text.slice(TOKEN_PREFIX.length));
  if (bytes === undefined) return fail('TOKEN_GARBLED');
  const token = readMessage(bytes, DECODE_LIMITS, (value) => {
    const record = readRecord(value);
    return readInteger(record['v'], 0, Number.MAX_SAFE_INTEGER) === TOKEN_VERSION ? readToken(record) : 'unknown';
  });
  if (token === undefined) return fail('TOKEN_GARBLED');
  return token === 'unknown' ? fail('TOKEN_UNKNOWN_VERSION') : ok(token);
}

function readToken(record: Readonly<Record<string, unknown>>): JoinToken {
  const token: JoinToken = {
    id: readText(record['id'], 16),
    secret: readBinary(record['secret'], TOKEN_SECRET_BYTES),
    node: readText(record['node'], 63),
    addresses: readArray(record['addresses'], ADDRESS_LIMIT, (item) => readText(item, 260)),
    rootSha256: readBinary(record['rootSha256'], 32),
    trustDomain: readText(record['trustDomain'], 100),
  };
  demand(/^[0-9a-f]{16}$/.test(token.id), 'a token id was expected');
  demand(token.secret.byteLength === TOKEN_SECRET_BYTES, 'a whole secret was expected');
  demand(token.rootSha256.byteLength === 32, 'a whole fingerprint was expected');
  demand(isNodeName(token.node) && isTrustDomain(token.trustDomain), 'names were expected');
  return token;
}

function fromBase64Url(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.fromBase64(text, { alphabet: 'base64url', lastChunkHandling: 'loose' });
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
