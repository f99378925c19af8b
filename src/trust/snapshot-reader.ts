import { fail, ok } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';
import { isNodeName, isTrustDomain, SPIFFE_ID_LIMIT_BYTES } from '#trust/identity.ts';
import {
  demand,
  readArray,
  readBinary,
  readBoolean,
  readInteger,
  readMessage,
  readRecord,
  readText,
} from '#trust/read.ts';
import { POLICY_LIMIT, POLICY_TEXT_LIMIT_BYTES } from '#trust/policy/limits.ts';
import type { Revocation } from '#trust/revocation.ts';
import type {
  SnapshotBody,
  SnapshotFormat,
  SnapshotForward,
  SnapshotInstance,
  SnapshotNode,
  SnapshotPolicy,
  SnapshotPosture,
  SnapshotService,
} from '#trust/snapshot.ts';

/** More members than one control plane is meant for. */
const SNAPSHOT_NODE_LIMIT = 10_000;
const SNAPSHOT_SERVICE_LIMIT = 10_000;
const SNAPSHOT_REVOCATION_LIMIT = 100_000;
/** Addresses, labels and instances of one entry. */
export const SNAPSHOT_ADDRESS_LIMIT = 16;
export const SNAPSHOT_LABEL_LIMIT = 32;
export const SNAPSHOT_LABEL_LIMIT_CHARS = 128;
/** As many policies as there may be, each with a few statements; their size is what bounds them. */
const SNAPSHOT_POLICY_LIMIT = 2 * POLICY_LIMIT;
/** A name and the number of a statement. */
const POLICY_ID_LIMIT_CHARS = 80;
/** A version, a word. */
export const POSTURE_LIMIT_CHARS = 64;
const CERTIFICATE_LIMIT = 16;
/** An ML-DSA-87 certificate is about 7.5 kB. */
const CERTIFICATE_LIMIT_BYTES = 16 * 1024;
const HOST_LIMIT_CHARS = 260;
const SERIAL_LIMIT_CHARS = 40;
const DECODE_LIMITS = {
  textBytes: POLICY_TEXT_LIMIT_BYTES,
  binaryBytes: CERTIFICATE_LIMIT_BYTES,
  items: SNAPSHOT_REVOCATION_LIMIT,
};

/** Reads a body of format 2, or of format 1, which allows nothing because it has no policies. */
export function readSnapshotBody(
  bytes: Uint8Array,
): Result<SnapshotBody, 'SNAPSHOT_UNKNOWN_FORMAT' | 'SNAPSHOT_MALFORMED'> {
  const body = readMessage(bytes, DECODE_LIMITS, (value) => {
    const record = readRecord(value);
    return record['format'] === 1 || record['format'] === 2
      ? readBody(record, record['format'])
      : readInteger(record['format'], 0, Number.MAX_SAFE_INTEGER);
  });
  if (body === undefined) return fail('SNAPSHOT_MALFORMED');
  return typeof body === 'number' ? fail('SNAPSHOT_UNKNOWN_FORMAT') : ok(body);
}

function readBody(record: Readonly<Record<string, unknown>>, format: SnapshotFormat): SnapshotBody {
  const trustDomain = readText(record['trustDomain'], 255);
  demand(isTrustDomain(trustDomain), 'a trust domain was expected');
  return {
    format,
    trustDomain,
    nodes: readArray(record['nodes'], SNAPSHOT_NODE_LIMIT, readNode),
    services: readArray(record['services'], SNAPSHOT_SERVICE_LIMIT, readService),
    forwards: readArray(record['forwards'], SNAPSHOT_SERVICE_LIMIT, readForward),
    revocations: readArray(record['revocations'], SNAPSHOT_REVOCATION_LIMIT, readRevocation),
    issuers: readArray(record['issuers'], CERTIFICATE_LIMIT, readCertificate),
    roots: readArray(record['roots'], CERTIFICATE_LIMIT, readCertificate),
    ...(format === 1
      ? {}
      : {
          policies: readArray(record['policies'], SNAPSHOT_POLICY_LIMIT, readPolicy),
          policySchema: readInteger(record['policySchema'], 1, SNAPSHOT_REVOCATION_LIMIT),
        }),
  };
}

function readName(value: unknown): string {
  const name = readText(value, 63);
  demand(isNodeName(name), 'a name was expected');
  return name;
}

function readNode(value: unknown): SnapshotNode {
  const record = readRecord(value);
  const { links, posture } = record;
  return {
    name: readName(record['name']),
    relay: readBoolean(record['relay']),
    addresses: readArray(record['addresses'], SNAPSHOT_ADDRESS_LIMIT, (item) => readText(item, HOST_LIMIT_CHARS)),
    labels: readLabels(record['labels']),
    links: links === null ? null : readArray(links, SNAPSHOT_NODE_LIMIT, readName),
    ...(posture === undefined ? {} : { posture: readPosture(posture) }),
  };
}

const HEALTH_WORDS = ['up', 'draining', 'down'] as const;

function readPosture(value: unknown): SnapshotPosture {
  const record = readRecord(value);
  const word = readText(record['health'], POSTURE_LIMIT_CHARS);
  return {
    version: readText(record['version'], POSTURE_LIMIT_CHARS),
    os: readText(record['os'], POSTURE_LIMIT_CHARS),
    health: HEALTH_WORDS.find((known) => known === word) ?? 'unknown',
    seenAtMs: readInteger(record['seenAtMs'], 0, Number.MAX_SAFE_INTEGER),
  };
}

function readPolicy(value: unknown): SnapshotPolicy {
  const record = readRecord(value);
  return { id: readText(record['id'], POLICY_ID_LIMIT_CHARS), text: readText(record['text'], POLICY_TEXT_LIMIT_BYTES) };
}

function readLabels(value: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(readRecord(value));
  demand(entries.length <= SNAPSHOT_LABEL_LIMIT, 'fewer labels were expected');
  return Object.fromEntries(
    entries.map(([key, label]) => [
      readText(key, SNAPSHOT_LABEL_LIMIT_CHARS),
      readText(label, SNAPSHOT_LABEL_LIMIT_CHARS),
    ]),
  );
}

function readService(value: unknown): SnapshotService {
  const record = readRecord(value);
  return {
    name: readName(record['name']),
    instances: readArray(record['instances'], SNAPSHOT_NODE_LIMIT, readInstance),
  };
}

function readInstance(value: unknown): SnapshotInstance {
  const record = readRecord(value);
  return {
    node: readName(record['node']),
    host: readText(record['host'], HOST_LIMIT_CHARS),
    port: readInteger(record['port'], 1, 65_535),
    proxyProtocol: readBoolean(record['proxyProtocol']),
  };
}

function readForward(value: unknown): SnapshotForward {
  const record = readRecord(value);
  return {
    node: readName(record['node']),
    service: readName(record['service']),
    host: readText(record['host'], HOST_LIMIT_CHARS),
    port: readInteger(record['port'], 1, 65_535),
  };
}

function readRevocation(value: unknown): Revocation {
  const record = readRecord(value);
  return {
    spiffeId: readText(record['spiffeId'], SPIFFE_ID_LIMIT_BYTES),
    serial: readText(record['serial'], SERIAL_LIMIT_CHARS),
    epoch: readInteger(record['epoch'], 0, Number.MAX_SAFE_INTEGER),
  };
}

function readCertificate(value: unknown): Uint8Array {
  return readBinary(value, CERTIFICATE_LIMIT_BYTES);
}
