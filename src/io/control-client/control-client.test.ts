import { cpSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { SeededRandom } from '#kernel/random.ts';
import { CodedError } from '#control/coded-error.ts';
import { BackOff } from '#io/control-client/back-off.ts';
import { ControlSession } from '#io/control-client/control-session.ts';
import { joinMesh } from '#io/control-client/join.ts';
import type { JoinRequest } from '#io/control-client/join.ts';
import { LineReader } from '#io/control-client/line-reader.ts';
import { renewIdentity, runRenewal } from '#io/control-client/renewal.ts';
import { SnapshotKeeper, type VerifiedSnapshot } from '#io/control-client/snapshot-keeper.ts';
import { parseSessionLine } from '#io/control-https/session-lines.ts';
import { loadIdentity, loadSnapshot, saveSnapshot } from '#io/files-node/identity-files.ts';
import type { StoredIdentity } from '#io/files-node/identity-files.ts';
import { KyselyControlStore } from '#io/store-kysely/control-store.ts';
import { plainReport, startTestControl } from '../../../tests/fixtures/test-control.ts';

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'x0-client-'));
});
afterAll(() => rmSync(home, { recursive: true }));

function joinRequest(extra: Partial<JoinRequest>): JoinRequest {
  const nothing = { token: undefined, addresses: [], controlAddress: undefined };
  return { dataDir: home, ...nothing, onRetry: () => undefined, signal: AbortSignal.timeout(10_000), ...extra };
}

function sessionOf(identity: StoredIdentity, extra: Partial<ConstructorParameters<typeof ControlSession>[0]> = {}) {
  const seen: VerifiedSnapshot[] = [];
  const keeper = keeperOf(identity, (snapshot) => void seen.push(snapshot));
  const states: string[] = [];
  const { trustDomain, roots, controlAddresses, certificate, keys } = identity;
  const session = new ControlSession({
    trustDomain,
    roots,
    keeper,
    addresses: controlAddresses,
    credentials: () => ({ certificateDer: certificate.der, privateKey: keys.privateKey }),
    report: () => plainReport(),
    onRequest: async () => ({}),
    onState: (state) => void states.push(state),
    ...extra,
  });
  return { session, seen, states, keeper };
}

function keeperOf(
  { trustDomain, issuers, roots }: StoredIdentity,
  onBelieved: (snapshot: VerifiedSnapshot) => void,
): SnapshotKeeper {
  return new SnapshotKeeper({ trustDomain, issuers, roots, wallMs: Date.now, onBelieved });
}

describe('a node', () => {
  test('without identity and token is told to join', async () => {
    await expect(joinMesh(joinRequest({}))).rejects.toMatchObject({ code: 'JOIN_NEEDED' });
    await expect(joinMesh(joinRequest({ token: 'x' }))).rejects.toMatchObject({ code: 'TOKEN_GARBLED' });
  });

  test('waits for a control plane that is away, keeps its identity and comes back to a restarted one', async () => {
    const dataDir = join(home, 'control');
    const first = await startTestControl({ dataDir });
    const token = await first.tokenFor('oslo');
    const { enrolment } = first;
    await first.stop();
    const retries: string[] = [];
    const joining = joinMesh(joinRequest({ token, onRetry: (error) => void retries.push(error.code) }));
    await vi.waitFor(() => expect(retries).toContain('CONTROL_UNREACHABLE'));
    const second = await startTestControl({ dataDir, listen: enrolment });
    const identity = await joining;
    expect(statSync(join(home, 'identity.json')).mode & 0o777).toBe(0o600);
    expect(loadIdentity(home)).toMatchObject({ name: 'oslo', tokenId: identity.tokenId, grant: identity.grant });
    expect((await joinMesh(joinRequest({ token }))).certificate.serial).toBe(identity.certificate.serial);
    const { session, seen, states } = sessionOf(identity);
    session.start();
    await vi.waitFor(() => expect(seen).toHaveLength(1));
    await second.stop();
    await vi.waitFor(() => expect(states).toEqual(['up', 'down']));
    const third = await startTestControl({ dataDir, listen: enrolment });
    await vi.waitFor(() => expect(states.at(-1)).toBe('up'), 5_000);
    await vi.waitFor(() => expect(seen).toHaveLength(2));
    expect(seen[1]?.header.version).toBe(seen[0]?.header.version);
    await session.close();
    await third.stop();
  });

  test('gives no directory of one node to another, nor to one of another mesh', async () => {
    const [control, other] = [await startTestControl(), await startTestControl()];
    const dataDir = join(home, 'bergen');
    const first = await joinMesh(joinRequest({ dataDir, token: await control.tokenFor('bergen') }));
    const refusal = async (token: string): Promise<unknown> =>
      joinMesh(joinRequest({ dataDir, token })).then(
        () => 'joined',
        ({ code, message }: CodedError) => `${code}: ${message}`,
      );
    expect(await refusal(await control.tokenFor('turku'))).toBe(
      `IDENTITY_DIFFERS: ${dataDir} holds the identity of the node bergen, and this token is for turku`,
    );
    expect(await refusal(await other.tokenFor('bergen'))).toMatch(/^IDENTITY_DIFFERS: .* bergen of another mesh/);
    expect(loadIdentity(dataDir)?.certificate.serial).toBe(first.certificate.serial);
    const again = await joinMesh(joinRequest({ dataDir, token: await control.tokenFor('bergen') }));
    expect(again.certificate.serial).not.toBe(first.certificate.serial);
    await Promise.all([control.stop(), other.stop()]);
  });

  test('waits for a control plane whose disk is full', async () => {
    const control = await startTestControl();
    const token = await control.tokenFor('turku');
    const full = new CodedError('DISK_FULL', 'the database of the control plane: database or disk is full');
    const take = vi.spyOn(KyselyControlStore.prototype, 'takeToken').mockRejectedValueOnce(full);
    const put = vi.spyOn(KyselyControlStore.prototype, 'putToken').mockRejectedValueOnce(full);
    const refused = await control.ask('POST', '/api/v1/tokens', { node: 'lahti' });
    expect(refused).toMatchObject({ status: 507, body: { error: { code: 'DISK_FULL' } } });
    const retries: string[] = [];
    const onRetry = (error: CodedError): void => void retries.push(error.code);
    const identity = await joinMesh(joinRequest({ dataDir: join(home, 'turku'), token, onRetry }));
    expect([identity.name, retries]).toEqual(['turku', ['DISK_FULL']]);
    for (const spy of [take, put]) spy.mockRestore();
    await control.stop();
  });

  test('believes its stored snapshot again, but not one whose body was changed', async () => {
    const control = await startTestControl();
    const dataDir = join(home, 'rome');
    const identity = await joinMesh(joinRequest({ dataDir, token: await control.tokenFor('rome') }));
    const first = sessionOf(identity);
    first.session.start();
    const believed = await vi.waitFor(() => {
      const { current } = first.keeper;
      if (current === undefined) throw new Error('nothing came');
      return current;
    });
    await first.session.close();
    saveSnapshot(dataDir, { ...believed, body: believed.bodyBytes });
    const stored = loadSnapshot(dataDir);
    if (stored?.body === undefined) throw new Error('nothing was stored');
    const { header, body: bodyBytes, signer } = stored;
    const keeper = keeperOf(identity, () => undefined);
    expect(keeper.accept(header, bodyBytes, signer)).toMatchObject({ value: { header: { version: header.version } } });
    const forged = keeperOf(identity, () => undefined);
    expect(forged.accept(header, bodyBytes.slice(1), signer)).toMatchObject({ error: 'SNAPSHOT_WRONG_HASH' });
    await control.stop();
  });

  test('keeps what it believes when its control plane comes back from an older copy', async () => {
    const [live, copy] = [join(home, 'live'), join(home, 'copy')];
    const first = await startTestControl({ dataDir: live });
    const { enrolment: listen } = first;
    const dataDir = join(home, 'vaasa');
    const identity = await joinMesh(joinRequest({ dataDir, token: await first.tokenFor('vaasa') }));
    await first.stop();
    cpSync(live, copy, { recursive: true });
    const second = await startTestControl({ dataDir: live, listen });
    const told: unknown[] = [];
    const { session, seen, keeper } = sessionOf(identity, {
      onState: (state, error) => void told.push(error instanceof CodedError ? error.code : state),
    });
    session.start();
    await second.ask('PUT', '/api/v1/services/db/instances/vaasa', { host: '127.0.0.1', port: 5432 });
    await vi.waitFor(() => expect(seen.at(-1)?.body.services).toHaveLength(1), 5_000);
    const believed = keeper.current;
    await second.stop();
    const restored = await startTestControl({ dataDir: copy, listen });
    await vi.waitFor(() => expect(told).toContain('SNAPSHOT_ROLLBACK'), 10_000);
    expect(keeper.current).toBe(believed);
    expect(seen.at(-1)).toBe(believed);
    await session.close();
    await restored.stop();
  });

  test('that connects anew on purpose was never away', async () => {
    const control = await startTestControl();
    const dataDir = join(home, 'bern');
    const identity = await joinMesh(joinRequest({ dataDir, token: await control.tokenFor('bern') }));
    const { session, seen, states } = sessionOf(identity);
    session.start();
    await vi.waitFor(() => expect(seen).toHaveLength(1));
    session.reconnect();
    await vi.waitFor(() => expect(seen).toHaveLength(2));
    expect(states).toEqual(['up']);
    await control.stop();
    await vi.waitFor(() => expect(states).toEqual(['up', 'down']));
    await session.close();
  });

  test('whose report is refused says so once and keeps its session', async () => {
    const control = await startTestControl();
    const dataDir = join(home, 'riga');
    const identity = await joinMesh(joinRequest({ dataDir, token: await control.tokenFor('riga') }));
    const refused: string[] = [];
    let reports = 0;
    const { session, states } = sessionOf(identity, {
      report: () => {
        reports++;
        return plainReport({ pid: -1 });
      },
      onReportRefused: (error) => void refused.push(error.code),
    });
    session.start();
    await vi.waitFor(() => expect(reports).toBeGreaterThan(2), 5_000);
    expect(refused).toEqual(['REPORT_MALFORMED']);
    expect(states).toEqual(['up']);
    await session.close();
    await control.stop();
  });

  test('whose answer is too large, or is not taken, says so and keeps its session', async () => {
    const control = await startTestControl();
    const dataDir = join(home, 'oulu');
    const identity = await joinMesh(joinRequest({ dataDir, token: await control.tokenFor('oulu') }));
    const { session, states } = sessionOf(identity, {
      onRequest: async (op) => {
        if (op === 'streams') return { streams: 'x'.repeat(2 * 1024 * 1024) };
        if (op === 'peers') return { peers: 'x'.repeat(512 * 1024) };
        throw new CodedError('no code \u001b', 'no');
      },
    });
    session.start();
    await vi.waitFor(() => expect(states).toEqual(['up']));
    expect(await control.ask('GET', '/api/v1/nodes/oulu/streams')).toMatchObject({
      body: { error: { code: 'BODY_TOO_LARGE' } },
    });
    expect((await control.ask('GET', '/api/v1/nodes/oulu/peers')).body).toHaveProperty('peers');
    expect(await control.ask('GET', '/api/v1/nodes/oulu/path?to=oulu')).toMatchObject({
      body: { error: { code: 'REQUEST_INVALID' } },
    });
    expect(states).toEqual(['up']);
    await session.close();
    await control.stop();
  });

  test('that has questions enough says that it is busy', async () => {
    const control = await startTestControl();
    const dataDir = join(home, 'kiev');
    const identity = await joinMesh(joinRequest({ dataDir, token: await control.tokenFor('kiev') }));
    const waiting = Promise.withResolvers<unknown>();
    const { session, states } = sessionOf(identity, { onRequest: async () => waiting.promise });
    session.start();
    await vi.waitFor(() => expect(states).toEqual(['up']));
    let busy = 0;
    const asking = Array.from({ length: 70 }, async () => {
      const { body } = await control.ask('GET', '/api/v1/nodes/kiev/peers');
      if (JSON.stringify(body).includes('NODE_BUSY')) busy++;
    });
    await vi.waitFor(() => expect(busy).toBe(6), 4_000);
    waiting.resolve({ peers: [] });
    await Promise.all(asking);
    expect(busy).toBe(6);
    expect(states).toEqual(['up']);
    await session.close();
    await control.stop();
  });

  test('renews at half its life until told to stop', async () => {
    const control = await startTestControl();
    const dataDir = join(home, 'lima');
    const identity = await joinMesh(joinRequest({ dataDir, token: await control.tokenFor('lima') }));
    const { trustDomain, roots, name, controlAddresses: addresses, certificate, keys } = identity;
    const credentials = { certificateDer: certificate.der, privateKey: keys.privateKey };
    const end = new AbortController();
    const past = { notBeforeMs: 0, notAfterMs: Date.now() + 1_000 };
    const serials: string[] = [];
    await runRenewal({
      current: () => past,
      renew: async () => renewIdentity({ addresses, trustDomain, roots, name, credentials, wallMs: Date.now }),
      onRenewed: (renewed) => {
        serials.push(renewed.certificate.serial);
        end.abort();
      },
      onFailure: (error) => expect(error).toBeUndefined(),
      signal: end.signal,
    });
    expect(serials).toHaveLength(1);
    expect(serials[0]).not.toBe(certificate.serial);
    await control.stop();
  });
});

test('lines are put together from pieces and bounded', () => {
  const reader = new LineReader(8);
  expect(reader.push(Buffer.from('ab'))).toEqual([]);
  expect(reader.push(Buffer.from('c\nde\n\nf'))).toEqual(['abc', 'de', '']);
  expect(() => reader.push(Buffer.from('ghijklmno'))).toThrow(/too much/);
});

test('a session line of an unknown kind is passed over, and junk is refused', () => {
  expect(parseSessionLine('{"type":"later"}')).toEqual({ ok: true, value: { type: 'unknown' } });
  const junk = ['', '[]', '{}', '{"type":"snapshot"}', '{"type":"request","id":1}', 'null'];
  for (const text of junk) expect(parseSessionLine(text)).toEqual({ ok: false, error: 'SESSION_LINE_MALFORMED' });
});

test('back-off doubles to its limit, with jitter, and starts over', () => {
  const backOff = new BackOff(new SeededRandom(1));
  const waits = Array.from({ length: 12 }, () => backOff.nextMs());
  expect(waits[0]).toBeLessThanOrEqual(250);
  expect(waits[11]).toBeGreaterThanOrEqual(5_000);
  expect(Math.max(...waits)).toBeLessThanOrEqual(10_000);
  backOff.reset();
  expect(backOff.nextMs()).toBeLessThanOrEqual(250);
});
