import { createPrivateKey, randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { controlSpiffeId } from '#trust/identity.ts';
import { CodedError } from '#control/coded-error.ts';
import { readPrivateFile, writePrivateFile } from '#io/files-node/private-files.ts';
import { createIssuer, createRoot, signSvid } from '#io/x509-peculiar/authority.ts';
import { describeCertificate } from '#io/x509-peculiar/certificate.ts';
import type { Authority, Certificate } from '#io/x509-peculiar/certificate.ts';
import { generateKeyPair } from '#io/x509-peculiar/keys.ts';
import { readLeafFacts } from '#io/x509-peculiar/leaf-facts.ts';

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

/** Reads the root and the issuer, or makes them on the first start. Throws TRUST_DOMAIN_DIFFERS on another mesh's directory. */
export async function openAuthority(dataDir: string, trustDomain: string): Promise<AuthorityFiles> {
  const root = readAuthority(dataDir, 'root') ?? (await createRoot(trustDomain, Date.now()));
  assertTrustDomain(root.certificate, trustDomain, dataDir);
  writeAuthority(dataDir, 'root', root);
  const issuer = readAuthority(dataDir, 'issuer') ?? (await createIssuer(root, trustDomain, Date.now()));
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
  if (known !== undefined && known.length >= 32) return known;
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
  return { certificate: describeCertificate(fromPem(certificate)), privateKey: createPrivateKey(key) };
}

/** The key first: a crash between the two is an error at the next start, never a certificate without its key. */
function writeAuthority(dataDir: string, name: string, authority: Authority): void {
  if (readPrivateFile(join(dataDir, `${name}.crt`)) !== undefined) return;
  writePrivateFile(join(dataDir, `${name}.key`), authority.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writePrivateFile(join(dataDir, `${name}.crt`), authority.certificate.pem);
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
