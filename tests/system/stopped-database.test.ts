import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { CodedError } from '#control/coded-error.ts';
import { AdminClient } from '#io/admin-client-http/admin-client.ts';
import { PostgresDatabases } from '../harness/databases.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';
import { CLONE, X0Process } from '../harness/x0-process.ts';

const postgres = new PostgresDatabases();

describe.skipIf(SYSTEM_MISSING !== undefined)('a control plane on PostgreSQL', () => {
  afterAll(async () => postgres.stop());

  test('answers DATABASE_DOWN in less than 2 s while the server is stopped, lives, and recovers by itself', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'x0-stopped-'));
    const server = await postgres.server();
    const url = await postgres.create();
    const listeners = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const control = new X0Process(CLONE, ['control', '--data-dir', dataDir, ...listeners], { DATABASE_URL: url });
    await control.says(/the control plane is ready/);
    const client = new AdminClient(dataDir);
    await client.ask('POST', '/tokens', { node: 'oslo' });
    await server.crash();
    for (let again = 0; again < 3; again++) {
      const askedMs = performance.now();
      const refused = await client.ask('POST', '/tokens', { node: 'oslo' }).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'DATABASE_DOWN' });
      expect(refused).toBeInstanceOf(CodedError);
      expect(performance.now() - askedMs).toBeLessThan(2_000);
    }
    expect(control.child.exitCode).toBeNull();
    await server.resume();
    expect(await client.ask('POST', '/tokens', { node: 'oslo' })).toHaveProperty('token');
    expect(await control.end('SIGTERM')).toBe(0);
    expect(control.output).not.toContain(new URL(url).password);
    rmSync(dataDir, { recursive: true });
  });
});
