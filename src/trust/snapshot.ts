import { encode } from '@msgpack/msgpack';
import { bytesEqual } from '#kernel/bytes.ts';
import { fail, ok } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';
import type { Revocation } from '#trust/revocation.ts';
import { signedMessage } from '#trust/signing.ts';
import { readSnapshotBody } from '#trust/snapshot-reader.ts';

/** What is written; readers understand the one before too, which had no policies. */
export const SNAPSHOT_FORMAT = 2;
export type SnapshotFormat = 1 | typeof SNAPSHOT_FORMAT;
/** 2,000 nodes with their services and 10,000 revocations fit twice. */
export const SNAPSHOT_LIMIT_BYTES = 8 * 1024 * 1024;
/** How far ahead of this node's clock a snapshot may be: the skew that backdated certificates allow too. */
export const SNAPSHOT_FUTURE_LIMIT_MS = 15 * 60 * 1000;

/** What the control plane judged of a node's reports. */
export interface SnapshotPosture {
  /** Of the node's program. */
  readonly version: string;
  /** As Node.js names it: `linux`, `darwin`. */
  readonly os: string;
  readonly health: 'up' | 'draining' | 'down' | 'unknown';
  /** When it was last heard, Unix milliseconds, where it is not `up`; 0 for never. */
  readonly seenAtMs: number;
}

/** One statement of an enabled policy, as Cedar text. */
export interface SnapshotPolicy {
  /** The policy's name, with `#2` and so on for its further statements. */
  readonly id: string;
  readonly text: string;
}

export interface SnapshotNode {
  readonly name: string;
  readonly relay: boolean;
  /** `host:port` or `[v6]:port`; empty for a node that only dials out. */
  readonly addresses: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Names it dials or accepts in a fixed topology; null for the automatic plan. */
  readonly links: readonly string[] | null;
  /** Absent where nothing is known. */
  readonly posture?: SnapshotPosture;
}

export interface SnapshotInstance {
  readonly node: string;
  readonly host: string;
  readonly port: number;
  readonly proxyProtocol: boolean;
}

export interface SnapshotService {
  readonly name: string;
  readonly instances: readonly SnapshotInstance[];
}

/** `node` listens on `host:port` for its own machine's clients of `service`. */
export interface SnapshotForward {
  readonly node: string;
  readonly service: string;
  readonly host: string;
  readonly port: number;
}

export interface SnapshotBody {
  readonly format: SnapshotFormat;
  readonly trustDomain: string;
  readonly nodes: readonly SnapshotNode[];
  readonly services: readonly SnapshotService[];
  readonly forwards: readonly SnapshotForward[];
  readonly revocations: readonly Revocation[];
  /** DER. */
  readonly issuers: readonly Uint8Array[];
  /** DER. */
  readonly roots: readonly Uint8Array[];
  /** Of all that is not said here everything is denied; absent in format 1. */
  readonly policies?: readonly SnapshotPolicy[];
  /** The schema that the policies were held to; absent in format 1. */
  readonly policySchema?: number;
}

export interface SnapshotHeader {
  /** Monotone; from the control plane's database. */
  readonly version: number;
  /** SHA-256 of the encoded body. */
  readonly bodyHash: Uint8Array;
  /** Unix epoch milliseconds; re-signed with a later one while the body stays. */
  readonly issuedAtMs: number;
  /** SHA-256 of the signer's certificate. */
  readonly signerHash: Uint8Array;
  readonly signature: Uint8Array;
}

/** What {@link verifySnapshot} cannot do itself. */
export interface SnapshotPorts {
  readonly wallMs: number;
  sha256(bytes: Uint8Array): Uint8Array;
  /** True only for a signature by a control plane certificate of this mesh that was valid at `issuedAtMs`. */
  verifySigner(signerHash: Uint8Array, issuedAtMs: number, message: Uint8Array, signature: Uint8Array): boolean;
}

export type SnapshotRefusal =
  | 'SNAPSHOT_TOO_BIG'
  | 'SNAPSHOT_ROLLBACK'
  | 'SNAPSHOT_FORKED'
  | 'SNAPSHOT_FUTURE'
  | 'SNAPSHOT_WRONG_HASH'
  | 'SNAPSHOT_BAD_SIGNATURE'
  | 'SNAPSHOT_UNKNOWN_FORMAT'
  | 'SNAPSHOT_MALFORMED';

export type SnapshotMark = Pick<SnapshotHeader, 'version' | 'bodyHash' | 'issuedAtMs'>;

/** The same bytes for the same body, whatever the order of its keys. */
export function encodeSnapshotBody(body: SnapshotBody): Uint8Array {
  return encode(body, { sortKeys: true });
}

/** Total and bounded; unknown fields are ignored, another format is refused by name. */
export function decodeSnapshotBody(
  bytes: Uint8Array,
): Result<SnapshotBody, 'SNAPSHOT_TOO_BIG' | 'SNAPSHOT_UNKNOWN_FORMAT' | 'SNAPSHOT_MALFORMED'> {
  return bytes.byteLength > SNAPSHOT_LIMIT_BYTES ? fail('SNAPSHOT_TOO_BIG') : readSnapshotBody(bytes);
}

/** The bytes that a snapshot's signature covers. */
export function snapshotMessage(mark: SnapshotMark): Uint8Array {
  return signedMessage('snapshot', encode([mark.version, mark.bodyHash, mark.issuedAtMs]));
}

/**
 * Believes a snapshot or refuses it by name. `last` is the one believed before: an older version, or another body under
 * the same version, is refused, also when it is properly signed.
 */
export function verifySnapshot(
  header: SnapshotHeader,
  body: Uint8Array,
  ports: SnapshotPorts,
  last: SnapshotMark | undefined,
): Result<SnapshotBody, SnapshotRefusal> {
  if (body.byteLength > SNAPSHOT_LIMIT_BYTES) return fail('SNAPSHOT_TOO_BIG');
  const refusal = checkOrder(header, last, ports.wallMs);
  if (refusal !== undefined) return fail(refusal);
  if (!bytesEqual(ports.sha256(body), header.bodyHash)) return fail('SNAPSHOT_WRONG_HASH');
  const message = snapshotMessage(header);
  if (!ports.verifySigner(header.signerHash, header.issuedAtMs, message, header.signature)) {
    return fail('SNAPSHOT_BAD_SIGNATURE');
  }
  const decoded = readSnapshotBody(body);
  return decoded.ok ? ok(decoded.value) : decoded;
}

function checkOrder(
  header: SnapshotMark,
  last: SnapshotMark | undefined,
  wallMs: number,
): 'SNAPSHOT_ROLLBACK' | 'SNAPSHOT_FORKED' | 'SNAPSHOT_FUTURE' | undefined {
  if (header.issuedAtMs > wallMs + SNAPSHOT_FUTURE_LIMIT_MS) return 'SNAPSHOT_FUTURE';
  if (last === undefined || header.version > last.version) return undefined;
  if (header.version < last.version || header.issuedAtMs < last.issuedAtMs) return 'SNAPSHOT_ROLLBACK';
  return bytesEqual(header.bodyHash, last.bodyHash) ? undefined : 'SNAPSHOT_FORKED';
}
