import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import { startTestControl } from '../../../tests/fixtures/test-control.ts';
import { composeNode } from './compose.ts';
import { parseNodeConfig } from './config.ts';

test('a node that cannot store a snapshot says so, obeys it and keeps its session', async () => {
  const control = await startTestControl();
  const dataDir = mkdtempSync(join(tmpdir(), 'x0-full-'));
  // What stands in for a full disk: no snapshot can be written.
  mkdirSync(join(dataDir, 'snapshot.json.new'));
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const off = { socks: 'off', http: 'off', admin: 'off', link: 'off' };
  const config = parseNodeConfig({ ...off, dataDir, join: await control.tokenFor('oslo') }, {}, dataDir);
  const node = await composeNode(config, new AbortController().signal, pino(sink));
  try {
    await vi.waitFor(() => expect(lines.join('')).toContain('"code":"DATA_DAMAGED"'), 10_000);
    await vi.waitFor(() => expect(lines.join('')).toContain('connected to the control plane'), 10_000);
    expect(lines.join('')).not.toMatch(/INTERNAL|CONTROL_LOST|"err"/);
  } finally {
    await node.stop();
    await control.stop();
    rmSync(dataDir, { recursive: true });
  }
});
