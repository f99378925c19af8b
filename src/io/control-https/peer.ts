import type { TLSSocket } from 'node:tls';
import { fail } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';
import type { PeerIdentity } from '#trust/identity.ts';
import { checkPeerLeaf } from '#trust/leaf.ts';
import type { LeafRefusal } from '#trust/leaf.ts';
import { RENEWAL_GRACE_MS } from '#control/limits.ts';
import { isIssuedBy } from '#io/x509-asn1/chain.ts';
import { readLeafFacts } from '#io/x509-asn1/leaf-facts.ts';

export type PeerRefusal = LeafRefusal | 'CERT_MISSING' | 'CERT_UNREADABLE' | 'CERT_UNTRUSTED';

export interface PeerTrust {
  readonly trustDomain: string;
  /** DER. */
  readonly issuers: readonly Uint8Array[];
  readonly wallMs: () => number;
  readonly isRevoked: (identity: PeerIdentity) => boolean;
}

/** The node whose key this connection's handshake proved, checked anew for each request. */
export function identifyNode(socket: TLSSocket, trust: PeerTrust): Result<PeerIdentity, PeerRefusal> {
  const leaf = socket.getPeerX509Certificate()?.raw;
  if (leaf === undefined) return fail('CERT_MISSING');
  const { trustDomain, isRevoked } = trust;
  const checked = checkLeaf(leaf, { trustDomain, role: 'node', wallMs: trust.wallMs(), isRevoked });
  if (checked.ok && !socket.authorized) return fail('CERT_UNTRUSTED');
  return checked;
}

/**
 * As above, but an SVID that ended lately still proves its key, for renewal only. OpenSSL reports the last of several
 * faults, so "expired" may hide a bad signature: the chain is verified again, as of the SVID's last moment.
 */
export function identifyForRenewal(socket: TLSSocket, trust: PeerTrust): Result<PeerIdentity, PeerRefusal> {
  const identified = identifyNode(socket, trust);
  if (identified.ok || identified.error !== 'CERT_EXPIRED') return identified;
  const leaf = socket.getPeerX509Certificate()?.raw;
  const facts = leaf === undefined ? undefined : readLeafFacts(leaf);
  if (leaf === undefined || facts?.ok !== true) return identified;
  const lastMs = facts.value.notAfterMs - 1;
  if (trust.wallMs() - lastMs > RENEWAL_GRACE_MS) return identified;
  if (!isIssuedBy(leaf, trust.issuers, lastMs)) return fail('CERT_UNTRUSTED');
  const { trustDomain, isRevoked } = trust;
  return checkPeerLeaf(facts.value, { trustDomain, role: 'node', wallMs: lastMs, isRevoked });
}

function checkLeaf(leaf: Uint8Array, demand: Parameters<typeof checkPeerLeaf>[1]): Result<PeerIdentity, PeerRefusal> {
  const facts = readLeafFacts(leaf);
  return facts.ok ? checkPeerLeaf(facts.value, demand) : facts;
}
