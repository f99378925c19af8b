import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { startTestControl } from '../../../tests/fixtures/test-control.ts';
import { composeNode, type RunningNode } from './compose.ts';
import { parseNodeConfig } from './config.ts';

async function run(dataDir: string, flags: object = {}): Promise<RunningNode> {
  const off = { socks: 'off', http: 'off', admin: 'off', link: 'off' };
  const config = parseNodeConfig({ ...off, ...flags }, {}, dataDir);
  return await composeNode(config, new AbortController().signal, pino({ enabled: false }));
}

test('a node that was revoked does not start, names itself, and joins again by a new token', async () => {
  const control = await startTestControl();
  const dataDir = mkdtempSync(join(tmpdir(), 'x0-revoked-'));
  try {
    const first = await run(dataDir, { join: await control.tokenFor('oslo') });
    await first.stop();
    await control.ask('POST', '/api/v1/nodes/oslo/revoke');
    await expect(run(dataDir)).rejects.toMatchObject({
      code: 'CERT_REVOKED',
      message: `the identity of oslo in ${dataDir} was revoked, or the name was admitted again elsewhere`,
    });
    const again = await run(dataDir, { join: await control.tokenFor('oslo') });
    await again.stop();
  } finally {
    await control.stop();
    rmSync(dataDir, { recursive: true });
  }
});
