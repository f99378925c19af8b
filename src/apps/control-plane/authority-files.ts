import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { controlSpiffeId } from '#trust/identity.ts';
import { CodedError } from '#control/coded-error.ts';
import { readPrivateFile, writePrivateFile } from '#io/files-node/private-files.ts';
import { createIssuer, createRoot, signSvid } from '#io/x509-peculiar/authority.ts';
import { describeCertificate } from '#io/x509-asn1/certificate.ts';
import type { Certificate } from '#io/x509-asn1/certificate.ts';
import type { Authority } from '#io/x509-peculiar/certificate.ts';
import { generateKeyPair } from '#io/x509-asn1/keys.ts';
import { readLeafFacts } from '#io/x509-asn1/leaf-facts.ts';

/** The certificate authority of one data directory. */
export interface AuthorityFiles {
  readonly root: Authority;
  readonly issuer: Authority;
}

/** The control plane's own SVID with its key, made anew at every start and renewal: nothing of it is kept. */
export interface ControlSvid {
  readonly certificate: Certificate;
  readonly privateKey: KeyObject;
}

/** The name in `spiffe://<trust domain>/control/<name>` of the only replica. */
const CONTROL_NAME = 'main';
const AUTHORITY_FILES = ['root.key', 'root.crt', 'issuer.key', 'issuer.crt'] as const;
/** What an HTTP header can carry, long enough not to be guessed. */
const ADMIN_TOKEN = /^[!-~]{32,}$/;

/** Whether a mesh has its keys here. */
export function hasAuthority(dataDir: string): boolean {
  return AUTHORITY_FILES.some((name) => existsSync(join(dataDir, name)));
}

/**
 * Reads the root and the issuer, or makes them on the first start. Throws TRUST_DOMAIN_DIFFERS on another mesh's directory,
 * DATA_INCOMPLETE, DATA_DAMAGED when they do not fit together, CERT_EXPIRED and CERT_NOT_YET_VALID.
 */
export async function openAuthority(dataDir: string, trustDomain: string): Promise<AuthorityFiles> {
  const root = readAuthority(dataDir, 'root') ?? (await createRoot(trustDomain, Date.now()));
  assertTrustDomain(root.certificate, trustDomain, dataDir);
  assertAuthority(root, root, { path: join(dataDir, 'root.crt'), algorithm: 'ml-dsa-87', trustDomain });
  writeAuthority(dataDir, 'root', root);
  const issuer = readAuthority(dataDir, 'issuer') ?? (await createIssuer(root, trustDomain, Date.now()));
  assertAuthority(issuer, root, { path: join(dataDir, 'issuer.crt'), algorithm: 'ml-dsa-65', trustDomain });
  writeAuthority(dataDir, 'issuer', issuer);
  return { root, issuer };
}

export async function makeControlSvid(issuer: Authority, trustDomain: string, lifeMs: number): Promise<ControlSvid> {
  const { publicKey, privateKey } = generateKeyPair('ml-dsa-65');
  const spiffeId = controlSpiffeId(trustDomain, CONTROL_NAME);
  const certificate = await signSvid({ issuer, spiffeId, name: CONTROL_NAME, publicKey, wallMs: Date.now(), lifeMs });
  return { certificate, privateKey };
}

/** The administration credential: kept, so that scripts survive a restart. */
export function openAdminToken(dataDir: string): string {
  const path = join(dataDir, 'admin.token');
  const known = readPrivateFile(path)?.toString('utf8').trim();
  if (known !== undefined && ADMIN_TOKEN.test(known)) return known;
  const token = randomBytes(32).toString('base64url');
  writePrivateFile(path, `${token}\n`);
  return token;
}

function readAuthority(dataDir: string, name: string): Authority | undefined {
  const key = readPrivateFile(join(dataDir, `${name}.key`));
  const certificate = readPrivateFile(join(dataDir, `${name}.crt`));
  if (key === undefined && certificate === undefined) return undefined;
  if (key === undefined || certificate === undefined) {
    throw new CodedError(
      'DATA_INCOMPLETE',
      `${dataDir} has only one of ${name}.key and ${name}.crt; restore the other`,
    );
  }
  return {
    certificate: readable(join(dataDir, `${name}.crt`), () => describeCertificate(fromPem(certificate))),
    privateKey: readable(join(dataDir, `${name}.key`), () => createPrivateKey(key)),
  };
}

function readable<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new CodedError('DATA_DAMAGED', `${path} cannot be read; restore it from a copy`, { cause: error });
  }
}

interface AuthorityDemand {
  readonly path: string;
  readonly algorithm: 'ml-dsa-87' | 'ml-dsa-65';
  readonly trustDomain: string;
}

/** A wrong key or certificate would make SVIDs that no node believes, and say so only there. */
function assertAuthority({ certificate, privateKey }: Authority, signer: Authority, demand: AuthorityDemand): void {
  const { path, algorithm, trustDomain } = demand;
  const parsed = new X509Certificate(certificate.der);
  const signing = new X509Certificate(signer.certificate.der);
  const facts = readLeafFacts(certificate.der);
  const why = firstOf([
    [!parsed.checkPrivateKey(privateKey), 'its key is that of another certificate'],
    [parsed.publicKey.asymmetricKeyType !== algorithm, `its key is not of ${algorithm}`],
    [!facts.ok || !facts.value.isCa || !facts.value.keyUsages.includes('keyCertSign'), 'it may not sign certificates'],
    [!facts.ok || facts.value.uris[0] !== `spiffe://${trustDomain}`, 'it is of another trust domain'],
    [!parsed.checkIssued(signing) || !parsed.verify(signing.publicKey), 'the root did not sign it'],
  ]);
  if (why !== undefined) throw new CodedError('DATA_DAMAGED', `${path}: ${why}; restore it and its key from a copy`);
  const until = `${parsed.validFrom} to ${parsed.validTo}; look at this host's clock`;
  if (Date.now() < certificate.notBeforeMs)
    throw new CodedError('CERT_NOT_YET_VALID', `${path} is valid from ${until}`);
  if (Date.now() >= certificate.notAfterMs) throw new CodedError('CERT_EXPIRED', `${path} is valid from ${until}`);
}

function firstOf(findings: readonly (readonly [boolean, string])[]): string | undefined {
  return findings.find(([isWrong]) => isWrong)?.[1];
}

/** The key first: a crash between the two is an error at the next start, never a certificate without its key. */
function writeAuthority(dataDir: string, name: string, authority: Authority): void {
  if (readPrivateFile(join(dataDir, `${name}.crt`)) !== undefined) return;
  const keyPath = join(dataDir, `${name}.key`);
  writePrivateFile(keyPath, authority.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  try {
    writePrivateFile(join(dataDir, `${name}.crt`), authority.certificate.pem);
  } catch (error) {
    // Nobody has seen this key at work, and a start with more room makes another.
    rmSync(keyPath, { force: true });
    throw error;
  }
}

function fromPem(pem: Buffer): Uint8Array {
  const base64 = pem.toString('ascii').replaceAll(/-----[A-Z ]+-----|\s/g, '');
  return new Uint8Array(Buffer.from(base64, 'base64'));
}

function assertTrustDomain(root: Certificate, trustDomain: string, dataDir: string): void {
  const facts = readLeafFacts(root.der);
  if (facts.ok && facts.value.uris[0] === `spiffe://${trustDomain}`) return;
  const there = facts.ok ? (facts.value.uris[0] ?? 'nothing') : facts.error;
  throw new CodedError('TRUST_DOMAIN_DIFFERS', `${dataDir} holds the authority of ${there}, not of ${trustDomain}`);
}
