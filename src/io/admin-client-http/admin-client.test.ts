import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AdminClient } from './admin-client.ts';

let dataDir = '';
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'x0-admin-'));
  writeFileSync(join(dataDir, 'control.json'), '{"admin":"127.0.0.1:1"}');
  writeFileSync(join(dataDir, 'admin.token'), 'a-credential\n');
});
afterEach(() => rmSync(dataDir, { recursive: true }));

test.each(['{', '', '[]', '{"admin":7}'])('a control.json of %j says nowhere to go', async (content) => {
  writeFileSync(join(dataDir, 'control.json'), content);
  await expect(new AdminClient(dataDir).ask('GET', '/status')).rejects.toMatchObject({ code: 'CONTROL_NOT_FOUND' });
});

test.each(['a\nb', '', 'a\u0000b', 'é'])('an admin.token of %j is damage', async (content) => {
  writeFileSync(join(dataDir, 'admin.token'), content);
  await expect(new AdminClient(dataDir).ask('GET', '/status')).rejects.toMatchObject({ code: 'DATA_DAMAGED' });
});
