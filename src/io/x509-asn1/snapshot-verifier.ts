import { createHash, verify, X509Certificate } from 'node:crypto';
import { bytesEqual } from '#kernel/bytes.ts';
import type { PeerIdentity } from '#trust/identity.ts';
import { checkPeerLeaf } from '#trust/leaf.ts';
import type { SnapshotPorts } from '#trust/snapshot.ts';
import { isIssuedBy } from '#io/x509-asn1/chain.ts';
import { readLeafFacts } from '#io/x509-asn1/leaf-facts.ts';

export interface SnapshotTrust {
  readonly trustDomain: string;
  /** DER; already known to be certified by the root. */
  readonly issuers: readonly Uint8Array[];
  /** DER of the certificate that came with the snapshot; believed only after every check. */
  readonly signer: Uint8Array;
  readonly wallMs: number;
  readonly isRevoked: (identity: PeerIdentity) => boolean;
}

/** The checks that `verifySnapshot` leaves to OpenSSL. */
export function snapshotPorts(trust: SnapshotTrust): SnapshotPorts {
  return {
    wallMs: trust.wallMs,
    sha256: sha256Bytes,
    verifySigner: (signerHash, issuedAtMs, message, signature) =>
      bytesEqual(sha256Bytes(trust.signer), signerHash) &&
      isControlPlane(trust, issuedAtMs) &&
      verify(null, message, new X509Certificate(trust.signer).publicKey, signature),
  };
}

export function sha256Bytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}

/** The signer had to be valid when it signed; a snapshot on disk outlives its signer's certificate. */
function isControlPlane(trust: SnapshotTrust, issuedAtMs: number): boolean {
  const facts = readLeafFacts(trust.signer);
  if (!facts.ok || !isIssuedBy(trust.signer, trust.issuers, issuedAtMs)) return false;
  const { trustDomain, isRevoked } = trust;
  return checkPeerLeaf(facts.value, { trustDomain, role: 'control', wallMs: issuedAtMs, isRevoked }).ok;
}
