import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { KyselyControlStore } from '#io/store-kysely/control-store.ts';
import { openDatabase } from '#io/store-kysely/open-database.ts';
import { describeControlStore } from '../../../tests/fixtures/control-store-suite.ts';
import { SQLITE } from '../../../tests/harness/databases.ts';

describeControlStore(SQLITE);

test('what was stored is there after opening again', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'x0-store-'));
  const location = { kind: 'sqlite', path: join(directory, 'x0.sqlite') } as const;
  const first = await openDatabase(location);
  await new KyselyControlStore(first).putForward({ node: 'oslo', service: 'hello', host: '::1', port: 1 });
  await first.destroy();
  const second = await openDatabase(location);
  expect(await new KyselyControlStore(second).listForwards()).toHaveLength(1);
  await second.destroy();
  rmSync(directory, { recursive: true });
});
