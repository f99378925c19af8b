import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { nodeSpiffeId } from '#trust/identity.ts';
import { demand, readArray, readBoolean, readRecord, readShape, readText, ShapeError } from '#trust/read.ts';
import { CodedError } from '#control/coded-error.ts';
import type { NodeGrant } from '#control/store.ts';
import type { Enrolment } from '#io/control-client/enrolment.ts';
import { parseSessionLine, readBase64, snapshotLine } from '#io/control-https/session-lines.ts';
import type { SessionLine } from '#io/control-https/session-lines.ts';
import { readPrivateFile, writePrivateFile } from '#io/files-node/private-files.ts';
import { parseHostPort } from '#io/edge-listener/host-port.ts';
import { describeCertificate } from '#io/x509-asn1/certificate.ts';
import type { Certificate } from '#io/x509-asn1/certificate.ts';
import { readLeafFacts } from '#io/x509-asn1/leaf-facts.ts';

/** A node's identity as kept on its disk. */
export interface StoredIdentity extends Enrolment {
  /** Public half of the token that admitted it, so that a newer token is noticed. */
  readonly tokenId: string;
}

export type StoredSnapshot = Extract<SessionLine, { type: 'snapshot' }>;

const IDENTITY_FILE = 'identity.json';
const SNAPSHOT_FILE = 'snapshot.json';
const VERSION = 1;
const KEY_LIMIT_CHARS = 16_384;

/** Key and certificate in one 0600 file, replaced at once: there is never one without the other. */
export function saveIdentity(dataDir: string, identity: StoredIdentity): void {
  const { name, spiffeId, trustDomain, controlAddresses, grant, tokenId } = identity;
  const content = {
    version: VERSION,
    name,
    spiffeId,
    trustDomain,
    controlAddresses,
    grant,
    tokenId,
    privateKey: identity.keys.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    certificate: identity.certificate.der.toBase64(),
    issuers: identity.issuers.map((it) => it.toBase64()),
    roots: identity.roots.map((it) => it.toBase64()),
  };
  writePrivateFile(join(dataDir, IDENTITY_FILE), `${JSON.stringify(content)}\n`);
}

/** Undefined before the first enrolment; throws DATA_DAMAGED for a file that is not ours or whose parts do not belong together. */
export function loadIdentity(dataDir: string): StoredIdentity | undefined {
  const path = join(dataDir, IDENTITY_FILE);
  const content = readPrivateFile(path)?.toString('utf8');
  if (content === undefined) return undefined;
  const identity = readShape(parseJson(content), (value) => fitting(readIdentity(value)));
  if (identity === undefined)
    throw new CodedError('DATA_DAMAGED', `${path} cannot be read or does not fit together; remove it and join again`);
  return identity;
}

/** Keeps the last believed snapshot, so that the node can work while the control plane is away. */
export function saveSnapshot(dataDir: string, snapshot: Parameters<typeof snapshotLine>[0]): void {
  writePrivateFile(join(dataDir, SNAPSHOT_FILE), snapshotLine(snapshot, true));
}

/** Undefined when there is none or it cannot be read: the control plane has a newer one. Verified by whoever uses it. */
export function loadSnapshot(dataDir: string): StoredSnapshot | undefined {
  const content = readPrivateFile(join(dataDir, SNAPSHOT_FILE))?.toString('utf8');
  const line = content === undefined ? undefined : parseSessionLine(content);
  return line?.ok === true && line.value.type === 'snapshot' ? line.value : undefined;
}

function readIdentity(value: unknown): StoredIdentity {
  const record = readRecord(value);
  const keyPem = readText(record['privateKey'], KEY_LIMIT_CHARS);
  const privateKey = readable(() => createPrivateKey(keyPem));
  return {
    name: readText(record['name'], 63),
    spiffeId: readText(record['spiffeId'], 2_048),
    trustDomain: readText(record['trustDomain'], 100),
    controlAddresses: readArray(record['controlAddresses'], 64, (it) => readText(it, 300)),
    keys: { privateKey, publicKey: createPublicKey(privateKey) },
    certificate: readCertificate(record['certificate']),
    issuers: readArray(record['issuers'], 16, (it) => readCertificate(it).der),
    roots: readArray(record['roots'], 16, (it) => readCertificate(it).der),
    grant: readGrant(record['grant']),
    tokenId: readText(record['tokenId'], 64),
  };
}

/** A key of another certificate, or a name that the certificate does not say, would fail later and elsewhere. */
function fitting(identity: StoredIdentity): StoredIdentity {
  const { name, spiffeId, trustDomain, certificate, keys, controlAddresses, issuers, roots } = identity;
  const facts = readLeafFacts(certificate.der);
  demand(new X509Certificate(certificate.der).checkPrivateKey(keys.privateKey), 'the key is of another certificate');
  demand(facts.ok && facts.value.uris.length === 1 && facts.value.uris[0] === spiffeId, 'the certificate says another');
  demand(nodeSpiffeId(trustDomain, name) === spiffeId && identity.grant.node === name, 'the names differ');
  demand(issuers.length > 0 && roots.length > 0, 'there is nobody to trust');
  demand(controlAddresses.length > 0, 'there is no control plane');
  demand(
    controlAddresses.every((it) => parseHostPort(it) !== undefined),
    'a control plane has no address',
  );
  return identity;
}

function readCertificate(value: unknown): Certificate {
  const der = readBase64(value);
  return readable(() => describeCertificate(der));
}

function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ShapeError('a key or a certificate cannot be read', { cause: error });
  }
}

function readGrant(value: unknown): NodeGrant {
  const record = readRecord(value);
  const labels = Object.entries(readRecord(record['labels']));
  const links = record['links'];
  return {
    node: readText(record['node'], 63),
    relay: readBoolean(record['relay']),
    labels: Object.fromEntries(labels.map(([key, label]) => [key, readText(label, 128)])),
    links: links === null ? null : readArray(links, 1_024, (link) => readText(link, 63)),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
