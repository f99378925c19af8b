import '#io/x509-peculiar/keys.ts';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  Extension,
  GeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { createPublicKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { describeCertificate } from '#io/x509-asn1/certificate.ts';
import type { Certificate } from '#io/x509-asn1/certificate.ts';
import { randomSerial, signatureAlgorithm, toSignKey, toVerifyKey } from '#io/x509-peculiar/keys.ts';

/** A certificate that signs others, with its key. */
export interface Authority {
  readonly certificate: Certificate;
  readonly privateKey: KeyObject;
}

/** Everything a certificate can say here. The product goes through `authority.ts`; hostile tests say what they like. */
export interface CertificateSpec {
  readonly commonName: string;
  readonly publicKey: KeyObject;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly uris?: readonly string[];
  readonly ca?: { readonly pathLength?: number } | undefined;
  readonly keyUsages: number;
  readonly extendedKeyUsages?: readonly string[];
  readonly permittedUriHost?: string | undefined;
  /** Who signs; absent for a self-signed certificate, which then needs `selfKey`. */
  readonly issuer?: Authority;
  readonly selfKey?: KeyObject;
}

const NAME_CONSTRAINTS = '2.5.29.30';

/** Builds and signs one certificate. */
export async function issueCertificate(spec: CertificateSpec): Promise<Certificate> {
  const signer = spec.issuer?.privateKey ?? spec.selfKey;
  if (signer === undefined) throw new TypeError('a certificate needs an issuer or its own key');
  const issuer = spec.issuer === undefined ? undefined : new X509Certificate(spec.issuer.certificate.der);
  const subject = `CN=${spec.commonName}`;
  const made = await X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject,
    issuer: issuer === undefined ? subject : issuer.subject,
    notBefore: wholeSecond(spec.notBeforeMs),
    notAfter: wholeSecond(spec.notAfterMs),
    publicKey: toVerifyKey(spec.publicKey),
    signingKey: toSignKey(signer),
    signingAlgorithm: signatureAlgorithm(signer),
    extensions: await extensionsOf(spec, issuer?.publicKey ?? createPublicKey(signer)),
  });
  return describeCertificate(new Uint8Array(made.rawData));
}

async function extensionsOf(spec: CertificateSpec, authorityKey: KeyObject): Promise<Extension[]> {
  const uris = spec.uris ?? [];
  const purposes = spec.extendedKeyUsages ?? [];
  const extensions: Extension[] = [
    new BasicConstraintsExtension(spec.ca !== undefined, spec.ca?.pathLength, true),
    new KeyUsagesExtension(spec.keyUsages, true),
    await SubjectKeyIdentifierExtension.create(toVerifyKey(spec.publicKey)),
    await AuthorityKeyIdentifierExtension.create(toVerifyKey(authorityKey)),
  ];
  if (purposes.length > 0) extensions.push(new ExtendedKeyUsageExtension([...purposes]));
  if (uris.length > 0)
    extensions.push(new SubjectAlternativeNameExtension(uris.map((value) => ({ type: 'url', value }))));
  if (spec.permittedUriHost !== undefined) extensions.push(uriConstraint(spec.permittedUriHost));
  return extensions;
}

/** NameConstraints { permittedSubtrees [0] { { base uniformResourceIdentifier host } } } (RFC 5280 §4.2.1.10). */
function uriConstraint(host: string): Extension {
  const base = new Uint8Array(new GeneralName('url', host).rawData);
  return new Extension(NAME_CONSTRAINTS, true, wrap(0x30, wrap(0xa0, wrap(0x30, base))));
}

/** Hosts are at most 100 characters here, so every DER length is one octet. */
function wrap(tag: number, content: Uint8Array): Uint8Array<ArrayBuffer> {
  if (content.byteLength > 127) throw new RangeError('the trust domain is too long for a name constraint');
  return Uint8Array.from([tag, content.byteLength, ...content]);
}

function wholeSecond(wallMs: number): Date {
  return new Date(Math.floor(wallMs / 1000) * 1000);
}

export { KeyUsageFlags };
