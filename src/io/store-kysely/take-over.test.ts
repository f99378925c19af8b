import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KyselyControlStore } from '#io/store-kysely/control-store.ts';
import { openDatabase } from '#io/store-kysely/open-database.ts';

/** What a file of version 0.1 holds. */
const BEFORE = `
  CREATE TABLE tokens (
    id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL, node TEXT NOT NULL, relay INTEGER NOT NULL, labels TEXT NOT NULL,
    links TEXT, created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL, used_at_ms INTEGER
  ) STRICT;
  CREATE TABLE nodes (
    name TEXT PRIMARY KEY, spiffe_id TEXT NOT NULL, relay INTEGER NOT NULL, labels TEXT NOT NULL, links TEXT,
    addresses TEXT NOT NULL, admitted_at_ms INTEGER NOT NULL, revoked INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE svids (
    serial TEXT PRIMARY KEY, node TEXT NOT NULL, spiffe_id TEXT NOT NULL, not_after_ms INTEGER NOT NULL,
    issued_at_ms INTEGER NOT NULL, revoked_epoch INTEGER
  ) STRICT;
  CREATE INDEX svids_by_node ON svids (node, issued_at_ms);
  CREATE TABLE instances (
    service TEXT NOT NULL, node TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL,
    proxy_protocol INTEGER NOT NULL, PRIMARY KEY (service, node)
  ) STRICT;
  CREATE TABLE forwards (
    node TEXT NOT NULL, service TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL, PRIMARY KEY (node, service)
  ) STRICT;
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL, mark TEXT NOT NULL) STRICT;
  INSERT INTO counters VALUES ('epoch', 0, ''), ('snapshot', 0, '');
`;

let scratch = '';
let path = '';
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'x0-takeover-'));
  path = join(scratch, 'x0.sqlite');
});
afterEach(() => rmSync(scratch, { recursive: true }));

test('a file of version 0.1 is taken over with all that it knows, once', async () => {
  const old = new DatabaseSync(path);
  old.exec(`${BEFORE}; PRAGMA user_version = 1;
    INSERT INTO tokens VALUES ('aa', 'hash', 'oslo', 1, '{"site":"north"}', '["rome"]', 0, 1000, 10);
    INSERT INTO nodes VALUES ('oslo', 'spiffe://x0/node/oslo', 1, '{}', NULL, '["127.0.0.1:1"]', 5, 1),
      ('rome', 'spiffe://x0/node/rome', 0, '{}', NULL, '[]', 6, 0);
    INSERT INTO svids VALUES ('01', 'oslo', 'spiffe://x0/node/oslo', 9000, 5, 3), ('02', 'oslo', 'spiffe://x0/node/oslo', 9100, 5, 3);
    INSERT INTO instances VALUES ('hello', 'oslo', '::1', 80, 1);
    INSERT INTO forwards VALUES ('rome', 'hello', '::1', 81);
    UPDATE counters SET value = 7, mark = 'x' WHERE name = 'snapshot';`);
  old.close();
  for (let start = 0; start < 2; start++) {
    const database = await openDatabase({ kind: 'sqlite', path }, true);
    const store = new KyselyControlStore(database);
    expect(await store.takeToken('aa', 'hash', 20)).toBe('TOKEN_USED');
    expect(await store.findNode('oslo')).toMatchObject({ serial: '02', notAfterMs: 9100, revoked: true });
    expect(await store.findNode('rome')).toMatchObject({ serial: '', notAfterMs: 0, revoked: false });
    expect(await store.listRevocations(0)).toHaveLength(2);
    expect([await store.listInstances(), await store.listForwards()]).toMatchObject([[{ port: 80 }], [{ port: 81 }]]);
    expect([await store.snapshotVersion('x'), await store.snapshotVersion('y')]).toEqual([7 + start, 8 + start]);
    await store.snapshotVersion('x');
    await database.destroy();
    const counted = new DatabaseSync(path);
    counted.exec("UPDATE counters SET value = 8 WHERE name = 'snapshot'");
    counted.close();
  }
});

test('what a newer program wrote is refused, by its layout and by its migrations', async () => {
  await (await openDatabase({ kind: 'sqlite', path })).destroy();
  const newer = new DatabaseSync(path);
  newer.exec("INSERT INTO kysely_migration VALUES ('9999-later', '2030-01-01')");
  await expect(openDatabase({ kind: 'sqlite', path })).rejects.toMatchObject({ code: 'DATA_TOO_NEW' });
  newer.exec('PRAGMA user_version = 3');
  newer.close();
  await expect(openDatabase({ kind: 'sqlite', path })).rejects.toMatchObject({ code: 'DATA_TOO_NEW' });
});
