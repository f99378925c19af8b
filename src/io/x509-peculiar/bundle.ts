import { createPublicKey } from 'node:crypto';

/** One trust anchor in a SPIFFE bundle (SPIFFE Trust Domain and Bundle §4.2; AKP keys as in RFC 9964). */
export interface BundleKey {
  readonly kty: string;
  readonly use: 'x509-svid';
  readonly alg?: string;
  readonly pub?: string;
  readonly x5c: readonly [string];
}

export interface SpiffeBundle {
  readonly spiffe_sequence: number;
  readonly spiffe_refresh_hint: number;
  readonly keys: readonly BundleKey[];
}

/** How often a consumer should ask again, in seconds. */
const REFRESH_HINT_SECONDS = 300;

/** The trust bundle of `roots` (DER) as a JWK set. */
export function toSpiffeBundle(roots: readonly Uint8Array[], sequence: number): SpiffeBundle {
  return {
    spiffe_sequence: sequence,
    spiffe_refresh_hint: REFRESH_HINT_SECONDS,
    keys: roots.map((root) => toKey(root)),
  };
}

function toKey(der: Uint8Array): BundleKey {
  const pem = `-----BEGIN CERTIFICATE-----\n${der.toBase64()}\n-----END CERTIFICATE-----\n`;
  const jwk = createPublicKey(pem).export({ format: 'jwk' });
  return { ...jwk, kty: String(jwk.kty), use: 'x509-svid', x5c: [der.toBase64()] };
}
