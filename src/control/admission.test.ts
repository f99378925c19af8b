import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SeededRandom } from '#kernel/random.ts';
import { fail, ok } from '#kernel/result.ts';
import type { PeerIdentity } from '#trust/identity.ts';
import { encodeJoinToken, parseJoinToken } from '#trust/token.ts';
import type { JoinToken } from '#trust/token.ts';
import { Admission } from '#control/admission.ts';
import type { Admitted, EnrolRequest } from '#control/admission.ts';
import type { CertificatePort } from '#control/ports.ts';
import type { Refusal } from '#control/refusal.ts';
import { Registry } from '#control/registry.ts';
import type { Result } from '#kernel/result.ts';
import { MemoryStore } from '../../tests/fixtures/memory-store.ts';

const CSR = Uint8Array.of(1);
const HOUR_MS = 3_600_000;
let wallMs = 1_000_000;
let store: MemoryStore;
let admission: Admission;
let registry: Registry;
let signed = 0;

/** Signs what it is told and counts; an empty request proves nothing. */
const certificates: CertificatePort = {
  openRequest: async (csr) =>
    csr.byteLength === 0
      ? fail('CSR_NO_PROOF')
      : ok({
          keyHash: `${csr[0]}`,
          sign: async (_spiffeId, _name, atMs) => ({
            der: Uint8Array.of(signed),
            serial: `0${++signed}`,
            notAfterMs: atMs + 24 * HOUR_MS,
          }),
        }),
};

beforeEach(async () => {
  wallMs = 1_000_000;
  signed = 0;
  store = await MemoryStore.open();
  const ports = { store, certificates, random: new SeededRandom(1), wallMs: () => wallMs, sha256 };
  admission = new Admission(ports, { trustDomain: 'x0tta6bl4.mesh', rootSha256: new Uint8Array(32) });
  registry = new Registry(store, () => wallMs);
});
afterEach(async () => store.close());

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}

async function tokenFor(node: string, ttlSeconds?: number): Promise<string> {
  const extra = ttlSeconds === undefined ? {} : { ttlSeconds };
  const made = await admission.createToken({
    node,
    relay: true,
    labels: { site: 'n' },
    addresses: ['127.0.0.1:8443'],
    ...extra,
  });
  if (!made.ok) throw new Error(made.error.code);
  return made.value.token;
}

function alter(token: string, change: Partial<JoinToken>): string {
  const parsed = parseJoinToken(token);
  if (!parsed.ok) throw new Error(parsed.error);
  return encodeJoinToken({ ...parsed.value, ...change });
}

async function codeOf(request: Promise<Result<unknown, Refusal>>): Promise<string> {
  const result = await request;
  return result.ok ? 'OK' : result.error.code;
}

async function enrol(token: string, extra: Partial<EnrolRequest> = {}): Promise<Result<Admitted, Refusal>> {
  return admission.enrol({ token, csr: CSR, ...extra });
}

function identityOf(name: string): PeerIdentity {
  return {
    spiffeId: `spiffe://x0tta6bl4.mesh/node/${name}`,
    name,
    role: 'node',
    serial: '01',
    certificateHash: '',
    notBeforeMs: 0,
    notAfterMs: 0,
    publicKeyAlgorithm: 'ml-dsa-65',
  };
}

describe('a join token', () => {
  test('admits the node it names with what the operator granted', async () => {
    const admitted = await enrol(await tokenFor('oslo'), {
      addresses: ['127.0.0.1:7101', 'nonsense', '127.0.0.1:7101'],
    });
    expect(admitted).toMatchObject({
      ok: true,
      value: {
        spiffeId: 'spiffe://x0tta6bl4.mesh/node/oslo',
        grant: { relay: true, labels: { site: 'n' }, links: null },
      },
    });
    expect(await store.findNode('oslo')).toMatchObject({ serial: '01', addresses: ['127.0.0.1:7101'], revoked: false });
  });

  test('admits exactly one of a thousand at once', async () => {
    const token = await tokenFor('oslo');
    const codes = await Promise.all(Array.from({ length: 1_000 }, async () => codeOf(enrol(token))));
    expect(codes.filter((code) => code === 'OK')).toHaveLength(1);
    expect(codes.filter((code) => code === 'TOKEN_USED')).toHaveLength(999);
    expect([signed, await store.countNodes()]).toEqual([1, 1]);
  });

  test('is worth nothing after use, after its time, for another node, with another secret or as junk', async () => {
    const token = await tokenFor('oslo');
    expect(await codeOf(enrol(alter(token, { node: 'rome' })))).toBe('TOKEN_WRONG_NODE');
    expect(await codeOf(enrol(alter(token, { secret: new Uint8Array(32) })))).toBe('TOKEN_UNKNOWN');
    expect(await codeOf(enrol(alter(token, { id: '0000000000000000' })))).toBe('TOKEN_UNKNOWN');
    expect(await codeOf(enrol('junk'))).toBe('TOKEN_GARBLED');
    expect(await codeOf(enrol(token))).toBe('OK');
    expect(await codeOf(enrol(token))).toBe('TOKEN_USED');
    const late = await tokenFor('rome');
    wallMs += HOUR_MS;
    expect(await codeOf(enrol(late))).toBe('TOKEN_EXPIRED');
  });

  test('survives a request that proves no key', async () => {
    const token = await tokenFor('oslo');
    expect(await codeOf(enrol(token, { csr: new Uint8Array(0) }))).toBe('CSR_NO_PROOF');
    expect(await codeOf(enrol(token))).toBe('OK');
  });

  test('is not revived by deleting its node', async () => {
    const token = await tokenFor('oslo');
    await enrol(token);
    await registry.deleteNode('oslo');
    expect(await codeOf(enrol(token))).toBe('TOKEN_USED');
  });

  test('is kept as a hash only', async () => {
    const parsed = parseJoinToken(await tokenFor('oslo'));
    if (!parsed.ok) throw new Error(parsed.error);
    const stored = await store.findToken(parsed.value.id);
    expect(stored?.secretHash).toBe(sha256(parsed.value.secret).toHex());
    expect(JSON.stringify(stored)).not.toContain(parsed.value.secret.toHex());
  });

  test.each<[string, Parameters<Admission['createToken']>[0]]>([
    ['NAME_INVALID', { node: 'Oslo', addresses: [] }],
    ['TTL_INVALID', { node: 'oslo', ttlSeconds: 1, addresses: [] }],
    ['TTL_INVALID', { node: 'oslo', ttlSeconds: Number.NaN, addresses: [] }],
    ['LABELS_INVALID', { node: 'oslo', labels: { 'a b': 'c' }, addresses: [] }],
    ['LINKS_INVALID', { node: 'oslo', links: ['oslo'], addresses: [] }],
  ])('is not made from a request that is %s', async (code, request) => {
    expect(await codeOf(admission.createToken(request))).toBe(code);
  });
});

describe('a member', () => {
  test('renews until it is revoked, and only a new token admits it again, with a new serial', async () => {
    await enrol(await tokenFor('oslo'));
    expect(await codeOf(admission.renew(identityOf('oslo'), CSR))).toBe('OK');
    await registry.revokeNode('oslo');
    expect(await codeOf(admission.renew(identityOf('oslo'), CSR))).toBe('NODE_REVOKED');
    expect((await store.listRevocations(wallMs)).map((it) => it.serial)).toEqual(['01', '02']);
    await enrol(await tokenFor('oslo'));
    expect(await codeOf(admission.renew(identityOf('oslo'), CSR))).toBe('OK');
    expect((await store.listRevocations(wallMs)).map((it) => it.serial)).toEqual(['01', '02']);
    expect(await codeOf(admission.renew(identityOf('rome'), CSR))).toBe('NODE_UNKNOWN');
  });

  test('that is revoked while its renewal is being signed gets nothing', async () => {
    await enrol(await tokenFor('oslo'));
    const renewal = admission.renew(identityOf('oslo'), CSR);
    await store.revokeNode('oslo', wallMs);
    expect(await codeOf(renewal)).toBe('NODE_REVOKED');
  });
});

describe('services and forwards', () => {
  const instance = { service: 'hello', node: 'oslo', host: '127.0.0.1', port: 80, proxyProtocol: false };
  const forward = { node: 'oslo', service: 'hello', host: '127.0.0.1', port: 5432 };

  test('belong to nodes that exist and have proper names and addresses', async () => {
    expect(await codeOf(registry.putInstance(instance))).toBe('NODE_UNKNOWN');
    await enrol(await tokenFor('oslo'));
    expect(await codeOf(registry.putInstance(instance))).toBe('OK');
    expect(await codeOf(registry.putInstance({ ...instance, service: 'No' }))).toBe('NAME_INVALID');
    expect(await codeOf(registry.putInstance({ ...instance, port: 0 }))).toBe('ADDRESS_INVALID');
    expect(await codeOf(registry.putInstance({ ...instance, host: 'a b' }))).toBe('ADDRESS_INVALID');
    expect(await codeOf(registry.putForward({ ...forward, service: 'other' }))).toBe('SERVICE_UNKNOWN');
    expect(await codeOf(registry.putForward(forward))).toBe('OK');
    expect(await codeOf(registry.putForward(forward))).toBe('OK');
    expect(await codeOf(registry.putForward({ ...forward, port: 5433 }))).toBe('FORWARD_EXISTS');
    expect(await codeOf(registry.putForward({ ...forward, service: 'other' }))).toBe('FORWARD_ADDRESS_TAKEN');
    expect(await codeOf(registry.deleteForward('oslo', 'other'))).toBe('FORWARD_UNKNOWN');
    expect(await codeOf(registry.deleteInstance('other', 'oslo'))).toBe('SERVICE_UNKNOWN');
    expect(await codeOf(registry.deleteForward('nope', 'hello'))).toBe('NODE_UNKNOWN');
    expect(await codeOf(registry.deleteInstance('hello', 'nope'))).toBe('NODE_UNKNOWN');
    await registry.revokeNode('oslo');
    expect(await codeOf(registry.putInstance(instance))).toBe('NODE_REVOKED');
  });

  test('tell what an instance would replace, and refuse a target that is a forward of the same node', async () => {
    await enrol(await tokenFor('oslo'));
    await enrol(await tokenFor('rome'));
    await registry.putInstance(instance);
    await registry.putForward(forward);
    expect(await registry.foreseeInstance({ ...instance, port: 81 })).toEqual({ replaced: instance, loops: [] });
    const loop = { ...instance, host: 'localhost', port: 5432 };
    expect(await codeOf(registry.putInstance(loop))).toBe('TARGET_NOT_ALLOWED');
    const elsewhere = { ...loop, node: 'rome' };
    expect(await registry.foreseeInstance(elsewhere)).toEqual({ replaced: undefined, loops: [forward] });
    expect(await codeOf(registry.putInstance(elsewhere))).toBe('OK');
    expect(await registry.foreseeInstance({ ...loop, host: '192.0.2.7' })).toMatchObject({ loops: [] });
  });

  test('addresses are stored when they change', async () => {
    await enrol(await tokenFor('oslo'));
    expect(await registry.noteAddresses('oslo', ['[::1]:7101'])).toBe(true);
    expect(await registry.noteAddresses('oslo', ['[::1]:7101'])).toBe(false);
    expect(await registry.noteAddresses('rome', ['[::1]:7101'])).toBe(false);
  });
});
