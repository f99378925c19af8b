import { constants, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';

/** The only key exchange; there is no other to fall back to. */
export const GROUP = 'X25519MLKEM768';
/** The only signatures in handshakes: leaves are ML-DSA-65, roots ML-DSA-87. */
const SIGNATURE_ALGORITHMS = 'mldsa65:mldsa87';

/** What a node presents and whom it believes. */
export interface TunnelIdentity {
  readonly name: string;
  readonly trustDomain: string;
  readonly privateKey: KeyObject;
  /** The leaf alone, PEM: issuers are the peers' trust anchors. */
  readonly certificatePem: string;
  /** PEM of every issuer that is believed. */
  readonly issuerPems: readonly string[];
}

/** A TLS context made once per identity, and the issuers' certificates for the second look. */
export interface TunnelCredentials {
  readonly identity: TunnelIdentity;
  readonly context: SecureContext;
  readonly issuers: readonly X509Certificate[];
  /** When the leaf ends, Unix milliseconds. */
  readonly notAfterMs: number;
}

/**
 * TLS 1.3 alone, one group, one signature family, mutual, no tickets (they would carry the peer's certificate twice). No
 * setting weakens it.
 */
export function createTunnelCredentials(identity: TunnelIdentity): TunnelCredentials {
  const options: SecureContextOptions & { readonly allowPartialTrustChain: boolean } = {
    key: identity.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    cert: identity.certificatePem,
    ca: [...identity.issuerPems],
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ecdhCurve: GROUP,
    sigalgs: SIGNATURE_ALGORITHMS,
    secureOptions: constants.SSL_OP_NO_TICKET,
    allowPartialTrustChain: true,
  };
  return {
    identity,
    context: createSecureContext(options),
    issuers: identity.issuerPems.map((pem) => new X509Certificate(pem)),
    notAfterMs: new X509Certificate(identity.certificatePem).validToDate.getTime(),
  };
}
