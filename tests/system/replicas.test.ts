import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { AdminClient, isObject } from '#io/admin-client-http/admin-client.ts';
import { joinMesh } from '#io/control-client/join.ts';
import { PostgresDatabases } from '../harness/databases.ts';
import { RedisServer } from '../harness/redis.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';
import { CLONE, X0Process } from '../harness/x0-process.ts';

const postgres = new PostgresDatabases();
const scratch = mkdtempSync(join(tmpdir(), 'x0-replicas-'));
const LISTENERS = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];

async function startReplica(name: string, environment: Record<string, string>): Promise<X0Process> {
  const control = new X0Process(CLONE, ['control', '--data-dir', join(scratch, name), ...LISTENERS], environment);
  await control.says(/the control plane is ready/);
  return control;
}

async function snapshotVersion(client: AdminClient): Promise<number> {
  const { control } = await client.ask('GET', '/status');
  const snapshot = isObject(control) ? control['snapshot'] : undefined;
  return Number(isObject(snapshot) ? snapshot['version'] : undefined);
}

/** Waits for what another replica is to see; resolves to how long that took. */
async function msUntil(isSo: () => Promise<boolean>): Promise<number> {
  const startMs = performance.now();
  while (!(await isSo())) if (performance.now() - startMs > 10_000) throw new Error('it was not seen');
  return performance.now() - startMs;
}

describe.skipIf(SYSTEM_MISSING !== undefined)('two control planes on one PostgreSQL and one Redis', () => {
  afterAll(async () => {
    await postgres.stop();
    rmSync(scratch, { recursive: true });
  });

  test('have issuing keys of their own, see within a second what the other changed, and publish one line of versions', async () => {
    const redis = await RedisServer.start();
    const environment = { DATABASE_URL: await postgres.create(), REDIS_URL: redis.url };
    const first = await startReplica('one', environment);
    mkdirSync(join(scratch, 'two'), { mode: 0o700 });
    for (const file of ['root.key', 'root.crt']) copyFileSync(join(scratch, 'one', file), join(scratch, 'two', file));
    const second = await startReplica('two', environment);
    const [one, two] = [new AdminClient(join(scratch, 'one')), new AdminClient(join(scratch, 'two'))];
    const { token } = await one.ask('POST', '/tokens', { node: 'oslo' });
    mkdirSync(join(scratch, 'oslo'), { mode: 0o700 });
    await joinMesh({
      token: String(token),
      dataDir: join(scratch, 'oslo'),
      addresses: [],
      controlAddress: undefined,
      onRetry: () => undefined,
      signal: AbortSignal.timeout(10_000),
    });
    const admittedVersion = await snapshotVersion(one);
    expect(await msUntil(async () => (await snapshotVersion(two)) >= admittedVersion)).toBeLessThan(1_000);
    const path = '/services/hello/instances/oslo';
    await two.ask('PUT', path, { host: '127.0.0.1', port: 8090 });
    const changedVersion = await snapshotVersion(two);
    expect(changedVersion).toBeGreaterThan(admittedVersion);
    expect(await msUntil(async () => (await snapshotVersion(one)) === changedVersion)).toBeLessThan(1_000);
    expect([await first.end('SIGTERM'), await second.end('SIGTERM')]).toEqual([0, 0]);
    await redis.stop();
    const said = `${first.output}${second.output}`;
    for (const url of [environment.DATABASE_URL, environment.REDIS_URL])
      expect(said).not.toContain(new URL(url).password);
  });
});
