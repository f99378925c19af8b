import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nodeSpiffeId } from '#trust/identity.ts';
import { loadIdentity, loadSnapshot, saveIdentity } from '#io/files-node/identity-files.ts';
import { createIssuer, createRoot, signSvid } from '#io/x509-peculiar/authority.ts';
import { generateKeyPair } from '#io/x509-asn1/keys.ts';

const trustDomain = 'test.mesh';
const name = 'oslo';
let dataDir = '';
let path = '';
beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'x0-identity-'));
  path = join(dataDir, 'identity.json');
  const wallMs = Date.now();
  const root = await createRoot(trustDomain, wallMs);
  const issuer = await createIssuer(root, trustDomain, wallMs);
  const keys = generateKeyPair('ml-dsa-65');
  const spiffeId = nodeSpiffeId(trustDomain, name);
  const { publicKey } = keys;
  const certificate = await signSvid({ issuer, spiffeId, name, publicKey, wallMs, lifeMs: 600_000 });
  saveIdentity(dataDir, {
    name,
    spiffeId,
    trustDomain,
    controlAddresses: ['127.0.0.1:8443'],
    grant: { node: name, relay: false, labels: {}, links: null },
    tokenId: 'token',
    keys,
    certificate,
    issuers: [issuer.certificate.der],
    roots: [root.certificate.der],
  });
});
afterEach(() => rmSync(dataDir, { recursive: true }));

const damaged: unknown = expect.objectContaining({ name: 'CodedError', code: 'DATA_DAMAGED' });
const garbage = Buffer.alloc(300, 'garbage').toString('base64');
const otherKey = generateKeyPairSync('ml-dsa-65').privateKey.export({ type: 'pkcs8', format: 'pem' });

test('an identity is read back as it was stored', () => {
  expect(loadIdentity(dataDir)).toMatchObject({ name, tokenId: 'token', controlAddresses: ['127.0.0.1:8443'] });
});

test('an identity that is empty or cut short is damaged', () => {
  truncateSync(path, 4096);
  expect(() => loadIdentity(dataDir)).toThrow(damaged);
  truncateSync(path, 0);
  expect(() => loadIdentity(dataDir)).toThrow(damaged);
});

test.each([
  ['a key that is none', { privateKey: 'garbage' }],
  ['the key of another certificate', { privateKey: otherKey }],
  ['a certificate that is none', { certificate: garbage }],
  ['an issuer that is none', { issuers: [garbage] }],
  ['no issuer', { issuers: [] }],
  ['a root that is none', { roots: [garbage] }],
  ['another name', { name: 'rome' }],
  ['another SPIFFE ID', { name: 'rome', spiffeId: nodeSpiffeId(trustDomain, 'rome') }],
  ['another trust domain', { trustDomain: 'other.mesh' }],
  ['no control plane', { controlAddresses: [] }],
  ['a control plane without an address', { controlAddresses: ['nowhere'] }],
])('an identity with %s is damaged', (_what, change) => {
  const content: unknown = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify(Object.assign({}, content, change)));
  expect(() => loadIdentity(dataDir)).toThrow(damaged);
});

test('a snapshot that is garbage counts as none, and one that is a directory is damaged', () => {
  const snapshot = join(dataDir, 'snapshot.json');
  writeFileSync(snapshot, garbage, { mode: 0o600 });
  expect(loadSnapshot(dataDir)).toBeUndefined();
  rmSync(snapshot);
  mkdirSync(snapshot, { mode: 0o700 });
  expect(() => loadSnapshot(dataDir)).toThrow(damaged);
});
