import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { encode } from '@msgpack/msgpack';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { encodeJoinToken, parseJoinToken, TOKEN_PREFIX } from '#trust/token.ts';
import type { JoinToken } from '#trust/token.ts';
import { CodedError } from '#control/coded-error.ts';
import { ControlChannel } from '#io/control-client/control-channel.ts';
import type { NodeCredentials } from '#io/control-client/control-channel.ts';
import { ControlSession } from '#io/control-client/control-session.ts';
import { enrolNode } from '#io/control-client/enrolment.ts';
import type { Enrolment } from '#io/control-client/enrolment.ts';
import { renewIdentity } from '#io/control-client/renewal.ts';
import { SnapshotKeeper, type VerifiedSnapshot } from '#io/control-client/snapshot-keeper.ts';
import { postQuantumTls } from '#io/control-https/tls-options.ts';
import { parseHostPort } from '#io/edge-listener/host-port.ts';
import { createPrivateKey } from 'node:crypto';
import { describeCertificate } from '#io/x509-asn1/certificate.ts';
import type { Authority } from '#io/x509-peculiar/certificate.ts';
import { generateKeyPair } from '#io/x509-asn1/keys.ts';
import { createCsr } from '#io/x509-asn1/request.ts';
import { createTestCa, issueTestLeaf } from '../fixtures/test-ca.ts';
import type { TestLeafRequest } from '../fixtures/test-ca.ts';
import { plainReport, startTestControl } from '../fixtures/test-control.ts';
import type { TestControl } from '../fixtures/test-control.ts';

let control: TestControl;
beforeAll(async () => {
  control = await startTestControl();
});
afterAll(async () => control.stop());

function listOf(body: unknown, key: string): readonly Record<string, unknown>[] {
  return (body as Record<string, Record<string, unknown>[]>)[key] ?? [];
}

function namesOf(body: unknown): readonly unknown[] {
  return listOf(body, 'nodes').map((node) => node['name']);
}

function alter(token: string, change: Partial<JoinToken>): string {
  const parsed = parseJoinToken(token);
  if (!parsed.ok) throw new Error(parsed.error);
  return encodeJoinToken({ ...parsed.value, ...change });
}

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return 'OK';
  } catch (error) {
    return error instanceof CodedError ? error.code : String(error);
  }
}

function credentialsOf(enrolment: Enrolment): NodeCredentials {
  return { certificateDer: enrolment.certificate.der, privateKey: enrolment.keys.privateKey };
}

function channelOf(enrolment: Enrolment, credentials?: NodeCredentials): ControlChannel {
  const { trustDomain, roots } = enrolment;
  const own = credentials === undefined ? {} : { credentials };
  return new ControlChannel({ addresses: [control.enrolment], trustDomain, roots, wallMs: Date.now, ...own });
}

async function report(enrolment: Enrolment, credentials?: NodeCredentials): Promise<string> {
  const channel = channelOf(enrolment, credentials);
  const code = await codeOf(channel.ask('POST', '/v1/report', plainReport()));
  channel.close();
  return code;
}

/** The issuer of the control plane under test, to make certificates that it never would. */
function stolenIssuer(): Authority {
  const pem = readFileSync(join(control.dataDir, 'issuer.crt'), 'utf8');
  const der = new Uint8Array(Buffer.from(pem.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64'));
  const privateKey = createPrivateKey(readFileSync(join(control.dataDir, 'issuer.key')));
  return { certificate: describeCertificate(der), privateKey };
}

function openSession(enrolment: Enrolment, extra: Partial<ConstructorParameters<typeof ControlSession>[0]> = {}) {
  const snapshots: VerifiedSnapshot[] = [];
  const states: string[] = [];
  const session = new ControlSession({
    addresses: [control.enrolment],
    trustDomain: enrolment.trustDomain,
    roots: enrolment.roots,
    keeper: new SnapshotKeeper({
      ...enrolment,
      wallMs: Date.now,
      onBelieved: (snapshot) => void snapshots.push(snapshot),
    }),
    credentials: () => credentialsOf(enrolment),
    report: () => plainReport({ pid: 4711, addresses: ['127.0.0.1:7101'] }),
    onRequest: async (op, args) => {
      if (op === 'check-target') throw new CodedError('TARGET_NOT_ALLOWED', `not ${String(args['port'])}`);
      return { op, args };
    },
    onState: (state, error) => void states.push(error === undefined ? state : `${state} ${(error as CodedError).code}`),
    ...extra,
  });
  session.start();
  return { session, snapshots, states, last: () => snapshots.at(-1)?.body };
}

describe('admission', () => {
  test('gives a node its SVID, issuers and grant, pinned by the token alone', async () => {
    const token = await control.tokenFor('oslo', { relay: true, labels: { site: 'north' }, links: ['rome'] });
    const enrolment = await enrolNode({ token, addresses: ['127.0.0.1:7101'] });
    expect(enrolment).toMatchObject({
      name: 'oslo',
      spiffeId: 'spiffe://x0tta6bl4.mesh/node/oslo',
      grant: { node: 'oslo', relay: true, labels: { site: 'north' }, links: ['rome'] },
    });
    expect(enrolment.issuers).toHaveLength(1);
    expect(await report(enrolment, credentialsOf(enrolment))).toBe('OK');
  });

  test('200 joins at once with one token make exactly one node', async () => {
    const crowd = await startTestControl();
    const token = await crowd.tokenFor('bergen');
    const { trustDomain, roots } = await enrolNode({ token: await crowd.tokenFor('helper') });
    const bodies = await Promise.all(
      Array.from({ length: 20 }, async () => createCsr(generateKeyPair('ml-dsa-65')).toBase64()),
    );
    const codes = await Promise.all(
      Array.from({ length: 200 }, async (_unused, index) => {
        const channel = new ControlChannel({ addresses: [crowd.enrolment], trustDomain, roots, wallMs: Date.now });
        const code = await codeOf(channel.ask('POST', '/v1/enrol', { token, csr: bodies[index % 20] }));
        channel.close();
        return code;
      }),
    );
    expect(codes.filter((code) => code === 'OK')).toHaveLength(1);
    expect(codes.filter((code) => code !== 'OK' && code !== 'TOKEN_USED' && code !== 'RATE_LIMITED')).toEqual([]);
    expect(namesOf((await crowd.ask('GET', '/api/v1/nodes')).body)).toEqual(['bergen', 'helper']);
    await crowd.stop();
  });
});

describe('a token that does not count', () => {
  let own: TestControl;
  beforeAll(async () => {
    own = await startTestControl();
  });
  afterAll(async () => own.stop());

  test('is refused by code, here and by the control plane itself', async () => {
    const token = await own.tokenFor('oslo');
    const version99 = TOKEN_PREFIX + encode({ v: 99 }).toBase64({ alphabet: 'base64url', omitPadding: true });
    expect(await codeOf(enrolNode({ token: 'garbage' }))).toBe('TOKEN_GARBLED');
    expect(await codeOf(enrolNode({ token: version99 }))).toBe('TOKEN_UNKNOWN_VERSION');
    expect(await codeOf(enrolNode({ token: alter(token, { rootSha256: new Uint8Array(32) }) }))).toBe('ROOT_MISMATCH');
    expect(await codeOf(enrolNode({ token: alter(token, { addresses: ['127.0.0.1:1'] }) }))).toBe(
      'CONTROL_UNREACHABLE',
    );
    expect(await codeOf(enrolNode({ token: alter(token, { node: 'rome' }) }))).toBe('TOKEN_WRONG_NODE');
    expect(await codeOf(enrolNode({ token: alter(token, { secret: new Uint8Array(32) }) }))).toBe('TOKEN_UNKNOWN');
    const enrolment = await enrolNode({ token });
    expect(await codeOf(enrolNode({ token }))).toBe('TOKEN_USED');
    const { trustDomain, roots } = enrolment;
    const channel = new ControlChannel({ addresses: [own.enrolment], trustDomain, roots, wallMs: Date.now });
    const csr = createCsr(generateKeyPair('ml-dsa-65')).toBase64();
    expect(await codeOf(channel.ask('POST', '/v1/enrol', { token: 'garbage', csr }))).toBe('TOKEN_GARBLED');
    expect(await codeOf(channel.ask('POST', '/v1/enrol', { token: version99, csr }))).toBe('TOKEN_UNKNOWN_VERSION');
    expect(await codeOf(channel.ask('POST', '/v1/enrol', { token, csr: 1 }))).toBe('REQUEST_INVALID');
    expect(await codeOf(channel.ask('POST', '/v1/enrol', { token, csr, more: 'x'.repeat(70_000) }))).toBe(
      'BODY_TOO_LARGE',
    );
    const fresh = await own.tokenFor('rome');
    expect(await codeOf(channel.ask('POST', '/v1/enrol', { token: fresh, csr: 'AAAA' }))).toBe('CSR_UNREADABLE');
    expect(await codeOf(enrolNode({ token: fresh }))).toBe('OK');
    channel.close();
  });

  test('makes its address wait after many failures', async () => {
    const enrolment = await enrolNode({ token: await own.tokenFor('paris') });
    const { trustDomain, roots } = enrolment;
    const channel = new ControlChannel({ addresses: [own.enrolment], trustDomain, roots, wallMs: Date.now });
    const codes: string[] = [];
    for (let tried = 0; tried < 40; tried++) {
      codes.push(await codeOf(channel.ask('POST', '/v1/enrol', { token: 'garbage', csr: 'AAAA' })));
    }
    expect(codes.at(-1)).toBe('RATE_LIMITED');
    channel.close();
  });
});

describe('a session', () => {
  test('pushes snapshots as services come, and ends with the revocation that it announces', async () => {
    const enrolment = await enrolNode({ token: await control.tokenFor('turin') });
    const other = await enrolNode({ token: await control.tokenFor('vienna') });
    const watching = openSession(other, { onRequest: async () => ({}) });
    const { session, last, states } = openSession(enrolment);
    await vi.waitFor(() => expect(last()?.nodes.map((node) => node.name)).toContain('turin'));
    const service = { host: '127.0.0.1', port: 9 };
    await vi.waitFor(async () => {
      const { body } = await control.ask('GET', '/api/v1/status');
      const nodes = listOf(body, 'nodes');
      const up = { state: 'up', pid: 4711, addresses: ['127.0.0.1:7101'] };
      expect(nodes.find((node) => node['name'] === 'turin')).toMatchObject(up);
    });
    expect((await control.ask('PUT', '/api/v1/services/hello/instances/turin', service)).body).toMatchObject({
      error: { code: 'TARGET_NOT_ALLOWED' },
    });
    expect((await control.ask('PUT', '/api/v1/services/hello/instances/vienna', service)).status).toBe(200);
    await vi.waitFor(() =>
      expect(last()?.services).toMatchObject([{ name: 'hello', instances: [{ node: 'vienna', ...service }] }]),
    );
    expect((await control.ask('GET', '/api/v1/nodes/turin/path?to=vienna')).body).toEqual({
      op: 'path',
      args: { to: 'vienna' },
    });
    expect((await control.ask('POST', '/api/v1/nodes/turin/revoke')).status).toBe(200);
    await vi.waitFor(() =>
      expect(watching.last()?.revocations.map((it) => it.serial)).toContain(enrolment.certificate.serial),
    );
    await vi.waitFor(() => expect(states.at(-1)).toBe('down CERT_REVOKED'));
    expect(watching.last()?.nodes.map((node) => node.name)).not.toContain('turin');
    expect(await report(enrolment, credentialsOf(enrolment))).toBe('CERT_REVOKED');
    const renewal = {
      addresses: [control.enrolment],
      trustDomain: enrolment.trustDomain,
      roots: enrolment.roots,
      wallMs: Date.now,
    };
    expect(await codeOf(renewIdentity({ ...renewal, name: 'turin', credentials: credentialsOf(enrolment) }))).toBe(
      'CERT_REVOKED',
    );
    const again = await enrolNode({ token: await control.tokenFor('turin') });
    expect(again.certificate.serial).not.toBe(enrolment.certificate.serial);
    expect(await report(again, credentialsOf(again))).toBe('OK');
    await Promise.all([session.close(), watching.session.close()]);
    const { body } = await control.ask('GET', '/api/v1/nodes/vienna/peers');
    expect(body).toMatchObject({ error: { code: 'NODE_DOWN' } });
  });

  test('renews its identity with a new key', async () => {
    const enrolment = await enrolNode({ token: await control.tokenFor('york') });
    const { trustDomain, roots } = enrolment;
    const options = { addresses: [control.enrolment], trustDomain, roots, wallMs: Date.now, name: 'york' };
    const renewed = await renewIdentity({ ...options, credentials: credentialsOf(enrolment) });
    expect(renewed.certificate.serial).not.toBe(enrolment.certificate.serial);
    const credentials = { certificateDer: renewed.certificate.der, privateKey: renewed.keys.privateKey };
    expect(await report(enrolment, credentials)).toBe('OK');
  });
});

describe('who is not a member', () => {
  const bad: [string, Omit<TestLeafRequest, 'name'>][] = [
    ['CERT_EXPIRED', { expired: true }],
    ['CERT_NOT_YET_VALID', { notYetValid: true }],
    ['CERT_TWO_URI_SANS', { twoSans: true }],
    ['CERT_NO_URI_SAN', { noSan: true }],
    ['CERT_WRONG_TRUST_DOMAIN', { wrongDomain: true }],
    ['CERT_WRONG_ROLE', { uris: ['spiffe://x0tta6bl4.mesh/control/evil'] }],
    ['CERT_BAD_PATH', { badPath: true }],
    ['CERT_IS_CA', { caLeaf: true }],
    ['CERT_KEY_USAGE', { wrongKeyUsage: true }],
    ['CERT_EXTENDED_KEY_USAGE', { clientOnly: true }],
  ];
  test.each(bad)('is refused with %s although the true issuer signed', async (code, request) => {
    const enrolment = await enrolNode({ token: await control.tokenFor('zagreb') });
    const leaf = await issueTestLeaf(stolenIssuer(), 'x0tta6bl4.mesh', { name: 'zagreb', ...request });
    expect(await report(enrolment, { certificateDer: leaf.der, privateKey: leaf.key })).toBe(code);
  });

  test('is refused without a certificate and with one of a forged authority of the same name', async () => {
    const enrolment = await enrolNode({ token: await control.tokenFor('zagreb') });
    expect(await report(enrolment)).toBe('CERT_MISSING');
    const forged = await (await createTestCa()).issue({ name: 'zagreb' });
    expect(await report(enrolment, { certificateDer: forged.der, privateKey: forged.key })).toBe('CERT_UNTRUSTED');
  });

  test('gets an SVID that ended lately renewed, but nothing else, and a forged one never', async () => {
    const enrolment = await enrolNode({ token: await control.tokenFor('zagreb') });
    const times = { notBeforeMs: Date.now() - 600_000, notAfterMs: Date.now() - 60_000 };
    const late = await issueTestLeaf(stolenIssuer(), 'x0tta6bl4.mesh', { name: 'zagreb', ...times });
    const credentials = { certificateDer: late.der, privateKey: late.key };
    const { trustDomain, roots } = enrolment;
    const options = { addresses: [control.enrolment], trustDomain, roots, wallMs: Date.now, name: 'zagreb' };
    expect(await report(enrolment, credentials)).toBe('CERT_EXPIRED');
    expect(await codeOf(renewIdentity({ ...options, credentials }))).toBe('OK');
    const forged = await (await createTestCa()).issue({ name: 'zagreb', ...times });
    const stranger = { certificateDer: forged.der, privateKey: forged.key };
    expect(await codeOf(renewIdentity({ ...options, credentials: stranger }))).toBe('CERT_UNTRUSTED');
  });

  test('cannot pose as the control plane', async () => {
    const enrolment = await enrolNode({ token: await control.tokenFor('zagreb') });
    const stranger = { ...enrolment, roots: [(await createTestCa()).rootDer] };
    expect(await report(stranger, credentialsOf(enrolment))).toBe('CONTROL_UNTRUSTED');
  });

  test.each<[string, ConnectionOptions]>([
    [
      'TLS 1.2',
      { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ecdhCurve: 'X25519', sigalgs: 'ecdsa_secp256r1_sha256' },
    ],
    ['a classical group', { ecdhCurve: 'X25519' }],
    ['classical signatures', { sigalgs: 'ecdsa_secp256r1_sha256:ed25519:rsa_pss_rsae_sha256' }],
  ])('has no handshake with %s', async (_what, weak) => {
    const socket = tlsConnect({
      ...parseHostPort(control.enrolment),
      ...postQuantumTls,
      rejectUnauthorized: false,
      ...weak,
    });
    await expect(once(socket, 'secureConnect')).rejects.toThrow(/alert|handshake|unsupported|protocol/i);
    socket.destroy();
  });

  test('cannot crowd members out by connections that say nothing', async () => {
    const crowded = await startTestControl();
    const enrolment = await enrolNode({ token: await crowded.tokenFor('oslo') });
    const { trustDomain, roots } = enrolment;
    const options = { addresses: [crowded.enrolment], trustDomain, roots, wallMs: Date.now };
    const member = new ControlChannel({ ...options, credentials: credentialsOf(enrolment) });
    expect(await codeOf(member.ask('POST', '/v1/report', plainReport()))).toBe('OK');
    const silent = Array.from({ length: 1_000 }, () => {
      const socket = connect({ host: '127.0.0.1', port: parseHostPort(crowded.enrolment)?.port ?? 0 });
      socket.on('error', () => socket.destroy());
      return socket;
    });
    await vi.waitFor(() => expect(silent.filter((socket) => socket.destroyed).length).toBeGreaterThan(700), 8_000);
    expect(await codeOf(member.ask('POST', '/v1/report', plainReport()))).toBe('OK');
    await vi.waitFor(() => expect(silent.every((socket) => socket.destroyed)).toBe(true), 10_000);
    expect(await codeOf(enrolNode({ token: await crowded.tokenFor('rome') }))).toBe('OK');
    member.close();
    await crowded.stop();
  });

  test('cannot keep a member’s new connection out by 300 that say nothing, though it shares their address', async () => {
    const crowded = await startTestControl();
    const enrolment = await enrolNode({ token: await crowded.tokenFor('oslo') });
    const silent = Array.from({ length: 300 }, () => {
      const socket = connect({ host: '127.0.0.1', port: parseHostPort(crowded.enrolment)?.port ?? 0 });
      socket.on('error', () => socket.destroy());
      return socket;
    });
    await vi.waitFor(() => expect(silent.filter((socket) => socket.destroyed).length).toBe(172), 4_000);
    const { trustDomain, roots } = enrolment;
    const options = { addresses: [crowded.enrolment], trustDomain, roots, wallMs: Date.now };
    const member = new ControlChannel({ ...options, credentials: credentialsOf(enrolment) });
    expect(await codeOf(member.ask('POST', '/v1/report', plainReport()))).toBe('OK');
    expect(silent.filter((socket) => !socket.destroyed).length).toBeGreaterThan(100);
    for (const socket of silent) socket.destroy();
    member.close();
    await crowded.stop();
  });
});

test('a member that connects 17 times loses the oldest connection', async () => {
  const enrolment = await enrolNode({ token: await control.tokenFor('many') });
  const { trustDomain, roots } = enrolment;
  const options = { addresses: [control.enrolment], trustDomain, roots, wallMs: Date.now };
  const channels = Array.from(
    { length: 17 },
    () => new ControlChannel({ ...options, credentials: credentialsOf(enrolment) }),
  );
  const [first, ...others] = channels;
  const session = await first?.open('GET', '/v1/session', undefined, AbortSignal.timeout(5_000));
  session?.on('error', () => undefined).resume();
  for (const channel of others) {
    expect(session?.destroyed).toBe(false);
    expect(await codeOf(channel.ask('POST', '/v1/report', plainReport()))).toBe('OK');
  }
  await vi.waitFor(() => expect(session?.destroyed).toBe(true));
  for (const channel of channels) channel.close();
});

describe('administration', () => {
  test('needs the credential, its own host and no foreign origin', async () => {
    const code = async (headers: Record<string, string>): Promise<unknown> =>
      ((await control.ask('GET', '/api/v1/status', undefined, headers)).body['error'] as { code: string } | undefined)
        ?.code;
    expect(await code({})).toBeUndefined();
    expect(await code({ authorization: 'Bearer wrong' })).toBe('CREDENTIAL_WRONG');
    expect(await code({ authorization: '' })).toBe('CREDENTIAL_WRONG');
    expect(await code({ host: 'evil.example' })).toBe('HOST_FOREIGN');
    expect(await code({ origin: 'http://evil.example' })).toBe('ORIGIN_FOREIGN');
    expect(await code({ origin: `http://${control.admin}` })).toBeUndefined();
  });

  test('answers with one error envelope', async () => {
    const missing = await control.ask('GET', '/api/v1/nothing');
    expect(missing).toMatchObject({
      status: 404,
      body: { error: { code: 'NOT_FOUND', traceId: expect.any(String) as string } },
    });
    const wrong = await control.ask('POST', '/api/v1/tokens', { node: 7 });
    expect(wrong).toMatchObject({ status: 422, body: { error: { code: 'INPUT_INVALID' } } });
    expect((await control.ask('POST', '/api/v1/nodes/nobody/revoke')).status).toBe(404);
    expect((await control.ask('GET', '/api/v1/nodes/nobody/peers')).status).toBe(404);
  });
});

describe('the data directory', () => {
  test('keeps keys private and gives the same mesh to the next start', async () => {
    const home = mkdtempSync(join(tmpdir(), 'x0-control-'));
    const first = await startTestControl({ dataDir: home });
    const token = await first.tokenFor('oslo');
    const names = readdirSync(first.dataDir).filter((name) => /key|token|json|crt/.test(name));
    expect(names.toSorted()).toEqual([
      'admin.token',
      'control.json',
      'issuer.crt',
      'issuer.key',
      'root.crt',
      'root.key',
    ]);
    for (const name of names) expect(statSync(join(first.dataDir, name)).mode & 0o777).toBe(0o600);
    expect(statSync(first.dataDir).mode & 0o777).toBe(0o700);
    expect(await codeOf(startTestControl({ dataDir: first.dataDir }))).toBe('DATA_DIR_IN_USE');
    expect(await codeOf(startTestControl({ listen: first.enrolment }))).toBe('PORT_IN_USE');
    const port = parseHostPort(first.enrolment)?.port ?? 0;
    const { dataDir } = first;
    await first.stop();
    const second = await startTestControl({ dataDir, listen: `127.0.0.1:${port}` });
    expect(second.rootSha256).toBe(first.rootSha256);
    expect((await enrolNode({ token })).name).toBe('oslo');
    expect(await codeOf(startTestControl({ dataDir, trustDomain: 'other.mesh' }))).toBe('DATA_DIR_IN_USE');
    await second.stop();
    expect(await codeOf(startTestControl({ dataDir, trustDomain: 'other.mesh' }))).toBe('TRUST_DOMAIN_DIFFERS');
    rmSync(home, { recursive: true });
  });
});
