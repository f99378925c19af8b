import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Kysely } from 'kysely';
import { KyselyControlStore } from '#io/store-kysely/control-store.ts';
import { KyselyInventory } from '#io/store-kysely/inventory.ts';
import { openDatabase } from '#io/store-kysely/open-database.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

const GRANT = { relay: false, labels: { site: 'north' }, links: null };
let database: Kysely<Tables>;
let store: KyselyControlStore;
let inventory: KyselyInventory;

beforeAll(async () => {
  database = await openDatabase({ kind: 'sqlite', path: ':memory:' });
  store = new KyselyControlStore(database);
  inventory = new KyselyInventory(database);
  for (const id of ['a', 'b', 'c'])
    await store.putToken({
      ...GRANT,
      id,
      node: `node-${id}`,
      secretHash: 'hash',
      createdAtMs: 1,
      expiresAtMs: 1_000,
      usedAtMs: null,
    });
});
afterAll(async () => database.destroy());

test('tokens are listed page by page', async () => {
  expect((await inventory.listTokens('', 2)).map(({ id }) => id)).toEqual(['a', 'b']);
  expect((await inventory.listTokens('b', 2)).map(({ node }) => node)).toEqual(['node-c']);
});

test('a token that is taken back joins nobody, one that was used cannot be taken back', async () => {
  expect(await inventory.revokeToken('b')).toBe(true);
  expect(await store.takeToken('b', 'hash', 500)).toBe('TOKEN_UNKNOWN');
  const svid = { node: 'node-a', spiffeId: 'spiffe://x/node/node-a', serial: '1f', notAfterMs: 900, issuedAtMs: 500 };
  expect(await store.takeToken('a', 'hash', 500, { svid, addresses: [] })).toMatchObject({ id: 'a' });
  expect(await inventory.revokeToken('a')).toBe(false);
  expect(await inventory.revokeToken('unknown')).toBe(false);
});

test('certificates are listed until they expire, revoked ones with the epoch of it', async () => {
  expect(await inventory.listCertificates('', 10, 600)).toMatchObject([{ serial: '1f', revokedEpoch: null }]);
  await store.revokeNode('node-a', 600);
  expect(await inventory.listCertificates('', 10, 600)).toMatchObject([{ serial: '1f', revokedEpoch: 1 }]);
  expect(await inventory.listCertificates('', 10, 900)).toEqual([]);
});
