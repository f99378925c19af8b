import { Kysely } from 'kysely';
import { afterAll, describe, expect, test } from 'vitest';
import { Secret } from '#kernel/secret.ts';
import { KyselyControlStore } from '#io/store-kysely/control-store.ts';
import { openDatabase } from '#io/store-kysely/open-database.ts';
import { describeAuditStore } from '../fixtures/audit-store-suite.ts';
import { describeJoinRequests } from '../fixtures/join-request-suite.ts';
import { describeLeases } from '../fixtures/lease-suite.ts';
import { describeControlStore } from '../fixtures/control-store-suite.ts';
import { describeAccountStore } from '../fixtures/accounts-store-suite.ts';
import { describePolicyStore } from '../fixtures/policy-store-suite.ts';
import { PostgresDatabases } from '../harness/databases.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';

const postgres = new PostgresDatabases();
const servers = new PostgresDatabases();

describe.skipIf(SYSTEM_MISSING !== undefined)('PostgreSQL', () => {
  describeControlStore(postgres);
  describeAuditStore(new PostgresDatabases());
  describeLeases(new PostgresDatabases());
  describeJoinRequests(new PostgresDatabases());
  describeAccountStore(new PostgresDatabases());
  describePolicyStore(new PostgresDatabases());
  afterAll(async () => servers.stop());

  test('replicas that start at once migrate one empty database once', async () => {
    const url = new Secret(await servers.create());
    const handles = await Promise.all(Array.from({ length: 8 }, async () => openDatabase({ kind: 'postgresql', url })));
    const [first] = handles;
    expect(first).toBeInstanceOf(Kysely);
    if (first === undefined) return;
    expect(await new KyselyControlStore(first).snapshotVersion('a')).toBe(1);
    await Promise.all(handles.map(async (handle) => handle.destroy()));
  });

  test('an empty database beside the keys of a mesh is a loss', async () => {
    const url = new Secret(await servers.create());
    await expect(openDatabase({ kind: 'postgresql', url }, true)).rejects.toMatchObject({ code: 'DATA_INCOMPLETE' });
    await (await openDatabase({ kind: 'postgresql', url })).destroy();
    await (await openDatabase({ kind: 'postgresql', url }, true)).destroy();
  });

  test('a wrong password or name is told, and neither is in what is said', async () => {
    const url = new URL(await servers.create());
    url.password = 'canary-password';
    const failure: unknown = await openDatabase({ kind: 'postgresql', url: new Secret(url.href) }).catch(
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ code: 'DATABASE_DOWN' });
    expect(String(failure)).not.toMatch(/canary|127\.0\.0\.1/);
  });

  test('a server that is away is told in less than 2 s, one that hangs in time, and both are used again by themselves', async () => {
    const server = await servers.server();
    const database = await openDatabase({ kind: 'postgresql', url: new Secret(await servers.create()) });
    const store = new KyselyControlStore(database);
    await server.crash();
    const beforeMs = performance.now();
    await expect(store.countNodes()).rejects.toMatchObject({ code: 'DATABASE_DOWN' });
    await expect(store.revokeNode('oslo', 0)).rejects.toMatchObject({ code: 'DATABASE_DOWN' });
    expect(performance.now() - beforeMs).toBeLessThan(2_000);
    await server.resume();
    expect(await store.countNodes()).toBe(0);
    server.freeze(true);
    const frozenMs = performance.now();
    await expect(store.revokeNode('oslo', 0)).rejects.toMatchObject({ code: 'DATABASE_TIMEOUT' });
    await expect(store.countNodes()).rejects.toMatchObject({ code: 'DATABASE_DOWN' });
    expect(performance.now() - frozenMs).toBeLessThan(10_000);
    server.freeze(false);
    expect(await store.countNodes()).toBe(0);
    await database.destroy();
  });
});
