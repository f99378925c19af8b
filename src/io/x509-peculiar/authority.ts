import type { KeyObject } from 'node:crypto';
import { CLIENT_AUTH, SERVER_AUTH } from '#trust/leaf.ts';
import { BACKDATE_MS } from '#io/x509-asn1/certificate.ts';
import type { Certificate } from '#io/x509-asn1/certificate.ts';
import { generateKeyPair } from '#io/x509-asn1/keys.ts';
import { issueCertificate, KeyUsageFlags } from '#io/x509-peculiar/certificate.ts';
import type { Authority } from '#io/x509-peculiar/certificate.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
export const SVID_LIFE_DEFAULT_MS = DAY_MS;
export const SVID_LIFE_LEAST_MS = 5 * MINUTE_MS;
export const SVID_LIFE_MOST_MS = 7 * DAY_MS;
const ROOT_LIFE_MS = 3650 * DAY_MS;
const ISSUER_LIFE_MS = 365 * DAY_MS;

/** A new root: ML-DSA-87, one level of issuers below it. */
export async function createRoot(trustDomain: string, wallMs: number): Promise<Authority> {
  const keys = generateKeyPair('ml-dsa-87');
  const certificate = await issueCertificate({
    commonName: `${trustDomain} root`,
    publicKey: keys.publicKey,
    selfKey: keys.privateKey,
    notBeforeMs: wallMs - BACKDATE_MS,
    notAfterMs: wallMs + ROOT_LIFE_MS,
    uris: [`spiffe://${trustDomain}`],
    ca: { pathLength: 1 },
    keyUsages: KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign,
  });
  return { certificate, privateKey: keys.privateKey };
}

/** A new issuer under `root`: ML-DSA-65, leaves only, and URIs of the trust domain only. */
export async function createIssuer(root: Authority, trustDomain: string, wallMs: number): Promise<Authority> {
  const keys = generateKeyPair('ml-dsa-65');
  const certificate = await issueCertificate({
    commonName: `${trustDomain} issuer`,
    publicKey: keys.publicKey,
    issuer: root,
    notBeforeMs: wallMs - BACKDATE_MS,
    notAfterMs: Math.min(wallMs + ISSUER_LIFE_MS, root.certificate.notAfterMs),
    uris: [`spiffe://${trustDomain}`],
    ca: { pathLength: 0 },
    keyUsages: KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign,
    permittedUriHost: trustDomain,
  });
  return { certificate, privateKey: keys.privateKey };
}

export interface SvidRequest {
  readonly issuer: Authority;
  readonly spiffeId: string;
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly wallMs: number;
  /** 5 minutes to 7 days. */
  readonly lifeMs: number;
}

/** Signs one SVID (X509-SVID §§2–4): one URI, digitalSignature only, both TLS purposes, never longer than its issuer. */
export async function signSvid(request: SvidRequest): Promise<Certificate> {
  if (request.lifeMs < SVID_LIFE_LEAST_MS || request.lifeMs > SVID_LIFE_MOST_MS) {
    throw new RangeError('an SVID lives 5 minutes to 7 days');
  }
  return issueCertificate({
    commonName: request.name,
    publicKey: request.publicKey,
    issuer: request.issuer,
    notBeforeMs: request.wallMs - BACKDATE_MS,
    notAfterMs: Math.min(request.wallMs + request.lifeMs, request.issuer.certificate.notAfterMs),
    uris: [request.spiffeId],
    keyUsages: KeyUsageFlags.digitalSignature,
    extendedKeyUsages: [SERVER_AUTH, CLIENT_AUTH],
  });
}
