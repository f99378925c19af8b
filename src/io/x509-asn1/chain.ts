import { X509Certificate } from 'node:crypto';

/** True when `der` was signed by one of `authorities` and both are valid at `wallMs` (Unix epoch milliseconds). */
export function isIssuedBy(der: Uint8Array, authorities: readonly Uint8Array[], wallMs: number): boolean {
  const certificate = parse(der);
  return (
    certificate !== undefined &&
    isValidAt(certificate, wallMs) &&
    authorities.some((authority) => signed(certificate, authority, wallMs))
  );
}

/** Those of `issuers` that a root certified and that are valid now: the trust anchors for links. */
export function certifiedIssuers(
  issuers: readonly Uint8Array[],
  roots: readonly Uint8Array[],
  wallMs: number,
): readonly Uint8Array[] {
  return issuers.filter((issuer) => parse(issuer)?.ca === true && isIssuedBy(issuer, roots, wallMs));
}

/** DER as the PEM that node:tls wants. */
export function toPem(der: Uint8Array): string {
  return new X509Certificate(der).toString();
}

function signed(certificate: X509Certificate, authorityDer: Uint8Array, wallMs: number): boolean {
  const authority = parse(authorityDer);
  if (authority === undefined || !authority.ca || !isValidAt(authority, wallMs)) return false;
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

function isValidAt(certificate: X509Certificate, wallMs: number): boolean {
  return certificate.validFromDate.getTime() <= wallMs && wallMs < certificate.validToDate.getTime();
}

function parse(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}
