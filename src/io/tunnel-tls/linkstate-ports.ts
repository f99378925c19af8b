import { createHash, sign, verify, X509Certificate } from 'node:crypto';
import { fail, ok, type Result } from '#kernel/result.ts';
import { readLeafFacts } from '#io/x509-asn1/leaf-facts.ts';
import type { AcceptedCertificate, LinkStatePorts } from '#mesh/linkstate/ports.ts';
import type { PeerIdentity } from '#trust/identity.ts';
import { checkPeerLeaf } from '#trust/leaf.ts';
import type { TunnelCredentials } from './credentials.ts';

/** OpenSSL's signatures for link-state records; `credentials` is asked each time, so that renewal needs nothing here. */
export function createLinkStatePorts(
  credentials: () => TunnelCredentials,
  isRevoked: (identity: PeerIdentity) => boolean,
): LinkStatePorts {
  const names = new Map<string, PeerIdentity>();
  return {
    ownCertificate: () => {
      const der = new X509Certificate(credentials().identity.certificatePem).raw;
      return { der, hash: sha256(der) };
    },
    sign: (message) => sign(null, message, credentials().identity.privateKey),
    hash: sha256,
    acceptCertificate: (der) => {
      const identity = judge(der, credentials(), isRevoked);
      if (!identity.ok) return identity;
      remember(names, identity.value.peer);
      return ok(identity.value.accepted);
    },
    isRevoked: (_name, certificateHash) => {
      const identity = names.get(certificateHash);
      return identity !== undefined && isRevoked(identity);
    },
  };
}

/** As many as the link state keeps origins, twice over for renewals. */
const MAX_NAMES = 8_192;

function remember(names: Map<string, PeerIdentity>, peer: PeerIdentity): void {
  names.delete(peer.certificateHash);
  names.set(peer.certificateHash, peer);
  for (const oldest of names.keys()) {
    if (names.size <= MAX_NAMES) return;
    names.delete(oldest);
  }
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}

function judge(
  der: Uint8Array,
  credentials: TunnelCredentials,
  isRevoked: (identity: PeerIdentity) => boolean,
): Result<{ readonly accepted: AcceptedCertificate; readonly peer: PeerIdentity }, string> {
  const facts = readLeafFacts(der);
  if (!facts.ok) return facts;
  const { trustDomain } = credentials.identity;
  const identity = checkPeerLeaf(facts.value, { trustDomain, role: 'node', wallMs: Date.now(), isRevoked });
  if (!identity.ok) return identity;
  const certificate = new X509Certificate(der);
  const isIssued = credentials.issuers.some(
    (issuer) => certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey),
  );
  if (!isIssued) return fail('CERT_UNTRUSTED');
  const { publicKey } = certificate;
  const { name, certificateHash: hash, notAfterMs } = identity.value;
  const accepted: AcceptedCertificate = {
    name,
    hash,
    notAfterMs,
    verify: (message, signature) => verify(null, message, publicKey, signature),
  };
  return ok({ accepted, peer: identity.value });
}
