import { verify, X509Certificate } from 'node:crypto';
import { checkPeerLeaf } from '#trust/leaf.ts';
import type { AuditVerifyPorts } from '#control/audit/chain.ts';
import { certifiedIssuers, isIssuedBy } from '#io/x509-asn1/chain.ts';
import { readLeafFacts } from '#io/x509-asn1/leaf-facts.ts';
import { sha256Bytes } from '#io/x509-asn1/snapshot-verifier.ts';

/** Certificates that came with a log, by the signer's SHA-256 in hex; believed only after every check. DER. */
export type AuditCertificates = ReadonlyMap<string, { readonly signer: Uint8Array; readonly issuer: Uint8Array }>;

/** Who signed a checkpoint had to be a control plane of the mesh with this root at the time that the checkpoint says. */
export function auditVerifyPorts(root: Uint8Array, certificates: AuditCertificates): AuditVerifyPorts {
  const roots = readLeafFacts(root);
  const trustDomain = roots.ok ? (roots.value.uris[0] ?? '').replace(/^spiffe:\/\//, '') : '';
  return {
    sha256: sha256Bytes,
    isSigned: ({ signerHash, atMs, signature }, message) => {
      const found = certificates.get(signerHash);
      if (found === undefined || sha256Bytes(found.signer).toHex() !== signerHash) return false;
      const issuers = certifiedIssuers([found.issuer], [root], atMs);
      const facts = readLeafFacts(found.signer);
      if (!facts.ok || !isIssuedBy(found.signer, issuers, atMs)) return false;
      const demand = { trustDomain, role: 'control', wallMs: atMs, isRevoked: () => false } as const;
      if (!checkPeerLeaf(facts.value, demand).ok) return false;
      return verify(null, message, new X509Certificate(found.signer).publicKey, signature);
    },
  };
}
