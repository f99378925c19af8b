import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import { startTestControl } from '../../../tests/fixtures/test-control.ts';
import { composeNode, type RunningNode } from './compose.ts';
import { parseNodeConfig } from './config.ts';

/** Logs of one node, by line. */
type Lines = string[];

async function run(dataDir: string, lines: Lines, flags: object = {}): Promise<RunningNode> {
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const off = { socks: 'off', http: 'off', admin: '127.0.0.1:0', link: 'off' };
  const config = parseNodeConfig({ ...off, dataDir, ...flags }, {}, dataDir);
  return await composeNode(config, new AbortController().signal, pino(sink));
}

/** What the node's own administration answers. */
async function statusOf(dataDir: string, lines: Lines): Promise<unknown> {
  const admin = /"admin":"([\d.:]+)"/.exec(lines.join(''))?.[1] ?? '';
  const authorization = `Bearer ${readFileSync(join(dataDir, 'admin.token'), 'utf8').trim()}`;
  const answer = await fetch(`http://${admin}/api/v1/status`, { headers: { authorization } });
  return await answer.json();
}

test('two processes with one identity say so in both logs, in counters and in the status of the mesh', async () => {
  const control = await startTestControl();
  const home = mkdtempSync(join(tmpdir(), 'x0-twin-'));
  const [original, copy] = [join(home, 'original'), join(home, 'copy')];
  const logs: Record<'first' | 'again' | 'twin', Lines> = { first: [], again: [], twin: [] };
  const first = await run(original, logs.first, { join: await control.tokenFor('oslo') });
  await vi.waitFor(() => expect(logs.first.join('')).toContain('connected to the control plane'), 10_000);
  await first.stop();
  cpSync(original, copy, { recursive: true });
  const again = await run(original, logs.again);
  await vi.waitFor(() => expect(logs.again.join('')).toContain('connected to the control plane'), 10_000);
  const twin = await run(copy, logs.twin);
  try {
    const said = /"level":40,.*"code":"DOUBLED_IDENTITY","msg":"another process runs with this identity/;
    await vi.waitFor(() => expect(logs.again.join('')).toMatch(said), 10_000);
    await vi.waitFor(() => expect(logs.twin.join('')).toMatch(said), 10_000);
    const counted = { counters: { 'session-DOUBLED_IDENTITY': expect.any(Number) as number } };
    expect(await statusOf(original, logs.again)).toMatchObject(counted);
    await vi.waitFor(async () => {
      const { body } = await control.ask('GET', '/api/v1/status');
      expect(body).toMatchObject({ nodes: [{ name: 'oslo', problems: [{ code: 'DOUBLED_IDENTITY' }] }] });
    }, 10_000);
    for (const lines of [logs.again, logs.twin])
      expect(lines.filter((line) => line.includes('"code":"DOUBLED_IDENTITY"'))).toHaveLength(1);
    expect(logs.first.join('')).not.toContain('DOUBLED_IDENTITY');
  } finally {
    await Promise.all([again.stop(), twin.stop()]);
    await control.stop();
    rmSync(home, { recursive: true });
  }
});
