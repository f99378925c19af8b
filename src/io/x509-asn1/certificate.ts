import { X509Certificate } from 'node:crypto';
import { canonicalSerial, sha256Hex } from '#io/x509-asn1/keys.ts';

/** OpenSSL allows no clock skew, so every certificate starts this long before it was made. */
export const BACKDATE_MS = 15 * 60_000;

/** A certificate with what callers most often ask of it. Times are Unix epoch milliseconds. */
export interface Certificate {
  readonly der: Uint8Array;
  readonly pem: string;
  readonly serial: string;
  readonly hash: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Reads back a certificate that this program stored. */
export function describeCertificate(der: Uint8Array): Certificate {
  const parsed = new X509Certificate(der);
  return {
    der,
    pem: parsed.toString(),
    serial: canonicalSerial(parsed.serialNumber),
    hash: sha256Hex(der),
    notBeforeMs: parsed.validFromDate.getTime(),
    notAfterMs: parsed.validToDate.getTime(),
  };
}
