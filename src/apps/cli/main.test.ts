import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';

const HOSTILE = '\u001b]0;owned\u0007\u009b2J\u202e';
let folder: string;
let server: Server;
let answer: { readonly status: number; readonly body: unknown };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'x0-main-'));
  server = createServer((_request, response) => response.writeHead(answer.status).end(JSON.stringify(answer.body)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  writeFileSync(join(folder, 'control.json'), JSON.stringify({ admin: `127.0.0.1:${port}` }));
  writeFileSync(join(folder, 'admin.token'), 'a');
});

afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

async function x0(...args: readonly string[]): Promise<{ status: unknown; said: string }> {
  const main = join(import.meta.dirname, 'main.ts');
  const child = spawn(process.execPath, [main, ...args, '--data-dir', folder], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, error, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { status, said: `${out}${error}` };
}

test.each([
  ['a code that is new to it', 'NEWER_CODE', 1, 'x0: NEWER_CODE: '],
  ['a code that is none', `A${HOSTILE}`, 4, 'x0: CONTROL_ANSWER: '],
])('%s is said on one line of plain text', async (_what, code, status, start) => {
  answer = { status: 400, body: { error: { code, message: `no\n${HOSTILE}` } } };
  const ended = await x0('peers', 'oslo');
  expect(ended.status).toBe(status);
  expect(ended.said).toMatch(/^[^\p{Cc}\p{Cf}]*\n$/u);
  expect(ended.said.startsWith(start)).toBe(true);
});

test.each([[[]], [['--json']]])('a hostile member reaches no terminal: peers %j', async (flags) => {
  answer = { status: 200, body: { peers: [{ name: HOSTILE, state: HOSTILE }] } };
  const ended = await x0('peers', 'oslo', ...flags);
  expect(ended.status).toBe(0);
  expect(ended.said.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
});
