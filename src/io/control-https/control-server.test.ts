import { once } from 'node:events';
import { Writable } from 'node:stream';
import { connect } from 'node:tls';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PeerIdentity } from '#trust/identity.ts';
import { Policies } from '#control/policies/policies.ts';
import { ControlPlane } from '#control/control-plane.ts';
import { PresenceBoard } from '#control/presence.ts';
import type { PublishedSnapshot } from '#control/snapshot-publisher.ts';
import { ControlServer } from '#io/control-https/control-server.ts';
import type { ServerCredentials } from '#io/control-https/control-server.ts';
import { FailureLimiter } from '#io/control-https/failure-limiter.ts';
import { NodeHub } from '#io/control-https/node-hub.ts';
import { postQuantumTls } from '#io/control-https/tls-options.ts';
import { systemRandom } from '#io/random-node/system-random.ts';
import { MemoryStore } from '../../../tests/fixtures/memory-store.ts';
import { signSvid } from '#io/x509-peculiar/authority.ts';
import { certificatePort, signingPort } from '#io/x509-peculiar/control-ports.ts';
import { describeCertificate } from '#io/x509-asn1/certificate.ts';
import { generateKeyPair } from '#io/x509-asn1/keys.ts';
import { sha256Bytes } from '#io/x509-asn1/snapshot-verifier.ts';
import { createTestCa } from '../../../tests/fixtures/test-ca.ts';

const ca = await createTestCa();

async function makeCredentials(): Promise<ServerCredentials> {
  const keys = generateKeyPair('ml-dsa-65');
  const spiffeId = 'spiffe://x0tta6bl4.mesh/control/main';
  const request = { issuer: ca.issuer, spiffeId, name: 'main', publicKey: keys.publicKey };
  const svid = await signSvid({ ...request, wallMs: Date.now(), lifeMs: 3_600_000 });
  return { certificateDer: svid.der, privateKey: keys.privateKey };
}

async function presentedHash(port: number): Promise<string> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    ...postQuantumTls,
    ca: ca.rootPem,
    checkServerIdentity: () => undefined,
  });
  await once(socket, 'secureConnect');
  const { hash } = describeCertificate(socket.getPeerX509Certificate()?.raw ?? new Uint8Array());
  socket.destroy();
  return hash;
}

test('a renewed SVID is presented to new connections', async () => {
  const [first, second] = [await makeCredentials(), await makeCredentials()];
  const store = await MemoryStore.open();
  const clocks = { nowMs: () => performance.now(), wallMs: Date.now };
  const trust = { trustDomain: ca.trustDomain, issuers: [ca.issuerDer], roots: [ca.rootDer] };
  const signer = signingPort(describeCertificate(first.certificateDer), first.privateKey);
  const certificates = certificatePort(ca.issuer, 3_600_000);
  const policyStore = {
    put: async () => undefined,
    find: async () => undefined,
    list: async () => [],
    versions: async () => [],
  };
  const policies = new Policies(
    { store: policyStore, check: () => ({ ok: true, value: { statements: [] } }), wallMs: Date.now },
    { isProduction: false },
  );
  const ports = {
    store,
    policies,
    certificates,
    random: systemRandom,
    sha256: sha256Bytes,
    signer: () => signer,
    ...clocks,
  };
  const control = new ControlPlane(ports, { ...trust, rootSha256: sha256Bytes(ca.rootDer) });
  const log = pino({ enabled: false });
  const server = new ControlServer({ control, ...trust, credentials: first, log, ...clocks });
  const port = await server.listen('127.0.0.1', 0);
  expect(await presentedHash(port)).toBe(describeCertificate(first.certificateDer).hash);
  server.setCredentials(second);
  expect(await presentedHash(port)).toBe(describeCertificate(second.certificateDer).hash);
  await server.close();
  await store.close();
});

/** A connection that keeps what is written, or one whose other end never reads. */
class Wire extends Writable {
  readonly lines: Record<string, unknown>[] = [];
  readonly #isDeaf: boolean;

  constructor(isDeaf = false) {
    super({ decodeStrings: false, highWaterMark: isDeaf ? 1 : 65_536 });
    this.#isDeaf = isDeaf;
  }

  override _write(text: string, _encoding: string, done: () => void): void {
    this.lines.push(JSON.parse(text) as Record<string, unknown>);
    if (!this.#isDeaf) done();
  }
}

async function codeOf(asking: Promise<unknown>): Promise<unknown> {
  return asking.then(
    () => 'OK',
    (error: { code: string }) => error.code,
  );
}

describe('the hub', () => {
  let hub: NodeHub;
  let board: PresenceBoard;
  const bodyHash = Uint8Array.of(1);
  const header = { version: 1, bodyHash, issuedAtMs: 1, signerHash: bodyHash, signature: bodyHash };
  const snapshot: PublishedSnapshot = { header, body: Uint8Array.of(2), signer: Uint8Array.of(3) };
  const identity: PeerIdentity = {
    spiffeId: 'spiffe://x0tta6bl4.mesh/node/oslo',
    name: 'oslo',
    role: 'node',
    serial: '01',
    certificateHash: '',
    notBeforeMs: 0,
    notAfterMs: 10_000_000,
    publicKeyAlgorithm: 'ml-dsa-65',
  };

  beforeEach(() => {
    vi.useFakeTimers();
    board = new PresenceBoard();
    hub = new NodeHub({ board, current: () => snapshot, nowMs: () => 0, wallMs: () => 0 });
  });
  afterEach(() => {
    hub.close();
    vi.useRealTimers();
  });

  test('sends the body once and only the header after that', () => {
    const stream = new Wire();
    hub.open(identity, stream);
    hub.publish();
    expect(stream.lines.map((line) => 'body' in line)).toEqual([true, false]);
  });

  test('gives an answer to the one who asked, from the one who was asked', async () => {
    const stream = new Wire();
    hub.open(identity, stream);
    const asking = hub.ask('oslo', 'ping', { to: 'rome' });
    const question = stream.lines.at(-1);
    expect(question).toMatchObject({ type: 'request', op: 'ping', args: { to: 'rome' } });
    hub.handleReply('rome', String(question?.['id']), { rttMs: 0 }, undefined);
    hub.handleReply('oslo', String(question?.['id']), { rttMs: 1 }, undefined);
    hub.handleReply('oslo', String(question?.['id']), { rttMs: 2 }, undefined);
    expect(await asking).toEqual({ rttMs: 1 });
  });

  test('makes the words of a refusal plain', async () => {
    const stream = new Wire();
    hub.open(identity, stream);
    const asking = hub.ask('oslo', 'ping', { to: 'rome' });
    const error = { code: 'NO_PATH', message: '\u001b]0;x\u0007\u202e' };
    hub.handleReply('oslo', String(stream.lines.at(-1)?.['id']), undefined, error);
    await expect(asking).rejects.toMatchObject({ code: 'NO_PATH', message: '?]0;x??' });
  });

  test('says by code why there is no answer', async () => {
    expect(await codeOf(hub.ask('oslo', 'ping', {}))).toBe('NODE_DOWN');
    const stream = new Wire();
    hub.open(identity, stream);
    const slow = codeOf(hub.ask('oslo', 'ping', {}));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await slow).toBe('NODE_TIMEOUT');
    const cut = codeOf(hub.ask('oslo', 'ping', {}));
    stream.destroy();
    expect(await cut).toBe('NODE_DOWN');
    expect(board.state('oslo', 0)).toBe('down');
  });

  test('keeps one session a name, the newest', async () => {
    const [older, newer] = [new Wire(), new Wire()];
    hub.open(identity, older);
    hub.open(identity, newer);
    await vi.advanceTimersByTimeAsync(0);
    expect([older.destroyed, newer.destroyed, board.state('oslo', 0)]).toEqual([true, false, 'up']);
    expect([older.lines.at(-1), newer.lines.at(-1)?.['type']]).toEqual([{ type: 'replaced' }, 'snapshot']);
  });

  test('ends a replaced session whose node does not read', async () => {
    const deaf = new Wire(true);
    hub.open(identity, deaf);
    hub.open(identity, new Wire());
    await vi.advanceTimersByTimeAsync(2_000);
    expect([deaf.destroyed, board.state('oslo', 0)]).toEqual([true, 'up']);
  });

  test('ends a session with its SVID, and one whose node never reads', async () => {
    const [shortLived, deaf] = [new Wire(), new Wire(true)];
    hub.open({ ...identity, notAfterMs: 1_000 }, shortLived);
    hub.open({ ...identity, name: 'rome' }, deaf);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(shortLived.destroyed).toBe(true);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(deaf.destroyed).toBe(true);
  });
});

test('an address that fails too often waits half a second for each further try', () => {
  const limiter = new FailureLimiter();
  for (let failure = 0; failure < 100; failure++) limiter.handleFailure('192.0.2.1', 0);
  expect([limiter.isBlocked('192.0.2.1', 0), limiter.isBlocked('192.0.2.2', 0)]).toEqual([true, false]);
  expect(limiter.isBlocked('192.0.2.1', 500)).toBe(false);
  limiter.handleFailure('192.0.2.1', 500);
  expect(limiter.isBlocked('192.0.2.1', 501)).toBe(true);
});
