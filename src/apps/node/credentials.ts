import type { StoredIdentity } from '#io/files-node/identity-files.ts';
import { createTunnelCredentials, type TunnelCredentials } from '#io/tunnel-tls/credentials.ts';
import { toPem } from '#io/x509-asn1/chain.ts';

/** The TLS side of a stored identity. */
export function credentialsOf(identity: StoredIdentity): TunnelCredentials {
  return createTunnelCredentials({
    name: identity.name,
    trustDomain: identity.trustDomain,
    privateKey: identity.keys.privateKey,
    certificatePem: identity.certificate.pem,
    issuerPems: identity.issuers.map((der) => toPem(der)),
  });
}
