import { fail, ok } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';

/** The trust domain when nothing else is configured. */
export const DEFAULT_TRUST_DOMAIN = 'x0tta6bl4.mesh';

/** Longest SPIFFE ID, in bytes (SPIFFE-ID §2.4). */
export const SPIFFE_ID_LIMIT_BYTES = 2048;

export type Role = 'node' | 'control';

/** A parsed `spiffe://<trust domain>/<role>/<name>`. */
export interface SpiffeId {
  readonly uri: string;
  readonly trustDomain: string;
  readonly role: Role;
  readonly name: string;
}

export type SpiffeIdRefusal = 'SPIFFE_ID_INVALID' | 'SPIFFE_ID_BAD_PATH';

/** Who is at the other end, taken from the leaf whose key the handshake proved. Times are Unix epoch milliseconds. */
export interface PeerIdentity {
  readonly spiffeId: string;
  readonly name: string;
  readonly role: Role;
  /** Lower-case hex without leading zeros. */
  readonly serial: string;
  /** SHA-256 of the DER, lower-case hex. */
  readonly certificateHash: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly publicKeyAlgorithm: string;
}

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const TRUST_DOMAIN = /^[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?$/;
const SPIFFE_ID = /^spiffe:\/\/([^/?#]+)\/(.+)$/;

/** True for a name that a node may have: a DNS label in lower case. */
export function isNodeName(name: string): boolean {
  return NAME.test(name);
}

/** True for a name that a service may have: services are named as nodes are. */
export function isServiceName(name: string): boolean {
  return NAME.test(name);
}

/** True for a trust domain that this program can issue under: at most 100 characters, no port (SPIFFE-ID §2.1). */
export function isTrustDomain(trustDomain: string): boolean {
  return TRUST_DOMAIN.test(trustDomain) && !trustDomain.includes('..');
}

export function nodeSpiffeId(trustDomain: string, name: string): string {
  return `spiffe://${trustDomain}/node/${name}`;
}

export function controlSpiffeId(trustDomain: string, name: string): string {
  return `spiffe://${trustDomain}/control/${name}`;
}

/** Refuses all but the two kinds of identity this mesh has; no percent-encoding, query, fragment, port or user. */
export function parseSpiffeId(uri: string): Result<SpiffeId, SpiffeIdRefusal> {
  if (uri.length > SPIFFE_ID_LIMIT_BYTES) return fail('SPIFFE_ID_INVALID');
  const parts = SPIFFE_ID.exec(uri);
  const trustDomain = parts?.[1];
  const path = parts?.[2];
  if (trustDomain === undefined || path === undefined) return fail('SPIFFE_ID_INVALID');
  if (!isTrustDomain(trustDomain)) return fail('SPIFFE_ID_INVALID');
  const [role, name, ...rest] = path.split('/');
  if ((role !== 'node' && role !== 'control') || name === undefined) return fail('SPIFFE_ID_BAD_PATH');
  if (rest.length > 0 || !isNodeName(name)) return fail('SPIFFE_ID_BAD_PATH');
  return ok({ uri, trustDomain, role, name });
}
