import { fail, ok } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';
import { parseSpiffeId } from '#trust/identity.ts';
import type { PeerIdentity, Role, SpiffeId } from '#trust/identity.ts';

/** What a leaf certificate says, read once by `io/x509-*`. Nothing here is checked yet. Times are Unix epoch milliseconds. */
export interface LeafFacts {
  readonly uris: readonly string[];
  /** Subject alternative names that are not URIs, as `type:value`. */
  readonly otherNames: readonly string[];
  readonly isCa: boolean;
  /** RFC 5280 names, e.g. `digitalSignature`; empty when the extension is absent. */
  readonly keyUsages: readonly string[];
  /** Object identifiers; empty when the extension is absent. */
  readonly extendedKeyUsages: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly serial: string;
  /** OpenSSL's name, e.g. `ml-dsa-65`, `ec`. */
  readonly publicKeyAlgorithm: string;
  readonly certificateHash: string;
}

export type LeafRefusal =
  | 'CERT_NO_URI_SAN'
  | 'CERT_TWO_URI_SANS'
  | 'CERT_BAD_URI'
  | 'CERT_BAD_PATH'
  | 'CERT_IS_CA'
  | 'CERT_KEY_USAGE'
  | 'CERT_EXTENDED_KEY_USAGE'
  | 'CERT_WRONG_KEY'
  | 'CERT_WRONG_TRUST_DOMAIN'
  | 'CERT_WRONG_ROLE'
  | 'CERT_WRONG_ID'
  | 'CERT_NOT_YET_VALID'
  | 'CERT_EXPIRED'
  | 'CERT_REVOKED';

/** What the caller of {@link checkPeerLeaf} demands. */
export interface LeafDemand {
  readonly trustDomain: string;
  /** The one identity that was dialled; absent where any member is welcome. */
  readonly expectedSpiffeId?: string | undefined;
  readonly role?: Role | undefined;
  readonly wallMs: number;
  readonly isRevoked: (identity: PeerIdentity) => boolean;
}

export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

const LEAF_KEYS: ReadonlySet<string> = new Set(['ml-dsa-65', 'ml-dsa-87']);

/**
 * Decides whether the leaf that a handshake proved speaks for a member (X509-SVID §§2–5). The chain's signatures are
 * OpenSSL's to check and must have been checked before.
 */
export function checkPeerLeaf(facts: LeafFacts, demand: LeafDemand): Result<PeerIdentity, LeafRefusal> {
  const shape = checkShape(facts);
  if (shape !== undefined) return fail(shape);
  const parsed = parseSpiffeId(facts.uris[0] ?? '');
  if (!parsed.ok) return fail(parsed.error === 'SPIFFE_ID_BAD_PATH' ? 'CERT_BAD_PATH' : 'CERT_BAD_URI');
  const refusal = checkDemand(facts, parsed.value, demand);
  if (refusal !== undefined) return fail(refusal);
  const identity: PeerIdentity = {
    spiffeId: parsed.value.uri,
    name: parsed.value.name,
    role: parsed.value.role,
    serial: facts.serial,
    certificateHash: facts.certificateHash,
    notBeforeMs: facts.notBeforeMs,
    notAfterMs: facts.notAfterMs,
    publicKeyAlgorithm: facts.publicKeyAlgorithm,
  };
  return demand.isRevoked(identity) ? fail('CERT_REVOKED') : ok(identity);
}

function checkShape(facts: LeafFacts): LeafRefusal | undefined {
  if (facts.isCa) return 'CERT_IS_CA';
  if (facts.keyUsages.length !== 1 || facts.keyUsages[0] !== 'digitalSignature') return 'CERT_KEY_USAGE';
  const purposes = facts.extendedKeyUsages;
  const bothWays = purposes.includes(SERVER_AUTH) && purposes.includes(CLIENT_AUTH);
  if (!bothWays || purposes.length !== 2) return 'CERT_EXTENDED_KEY_USAGE';
  if (!LEAF_KEYS.has(facts.publicKeyAlgorithm)) return 'CERT_WRONG_KEY';
  if (facts.uris.length === 0) return 'CERT_NO_URI_SAN';
  if (facts.uris.length > 1) return 'CERT_TWO_URI_SANS';
  return undefined;
}

function checkDemand(facts: LeafFacts, id: SpiffeId, demand: LeafDemand): LeafRefusal | undefined {
  if (id.trustDomain !== demand.trustDomain) return 'CERT_WRONG_TRUST_DOMAIN';
  if (demand.role !== undefined && id.role !== demand.role) return 'CERT_WRONG_ROLE';
  if (demand.expectedSpiffeId !== undefined && id.uri !== demand.expectedSpiffeId) return 'CERT_WRONG_ID';
  if (demand.wallMs < facts.notBeforeMs) return 'CERT_NOT_YET_VALID';
  if (demand.wallMs >= facts.notAfterMs) return 'CERT_EXPIRED';
  return undefined;
}
