import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AdminClient } from '#io/admin-client-http/admin-client.ts';
import { enrolNode } from '#io/control-client/enrolment.ts';
import { CLONE, runX0, X0Process, type X0Result } from '../harness/x0-process.ts';

let dataDir: string;
let control: X0Process;
let client: AdminClient;
let whole: string;
const scratch = mkdtempSync(join(tmpdir(), 'x0-audit-'));

const audit = (...words: string[]): X0Result => runX0(CLONE, ['audit', ...words, '--data-dir', dataDir]);

beforeAll(async () => {
  dataDir = join(scratch, 'control');
  const listeners = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
  control = new X0Process(CLONE, ['control', '--data-dir', dataDir, ...listeners]);
  await control.says(/the control plane is ready/);
  client = new AdminClient(dataDir);
  await client.ask('POST', '/tokens', { node: 'oslo' });
  await client.ask('POST', '/nodes/rome/drain', {}).catch(() => undefined);
  await client.ask('POST', '/tokens', { node: 'rome' });
  const atMs = performance.now();
  // The first checkpoint comes within seconds of the first entry.
  for (;;) {
    whole = audit('export').stdout;
    if (whole.includes('"type":"checkpoint"')) break;
    if (performance.now() - atMs > 30_000) throw new Error(`no checkpoint came:\n${whole}`);
  }
}, 60_000);

afterAll(async () => {
  await control.end('SIGTERM');
  rmSync(scratch, { recursive: true });
});

function verifyText(text: string): X0Result {
  const path = join(scratch, 'export.ndjson');
  writeFileSync(path, text);
  return audit('verify', path);
}

test('changes and failures are in the log with who asked for them, and it is whole', () => {
  expect(audit('list').stdout).toMatch(/user:local +tokens:create +\/tokens +done/);
  expect(audit('list').stdout).toMatch(/user:local +nodes:drain +\/nodes\/rome\/drain +failed/);
  expect(audit('verify')).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/3 entries are whole, signed up to/),
  });
  expect(verifyText(whole)).toMatchObject({ status: 0 });
});

test('an export that was edited, reordered, cut or thinned out is refused by name', () => {
  const lines = whole.trim().split('\n');
  const entries = lines.filter((line) => line.includes('"type":"entry"'));
  const rest = lines.filter((line) => !line.includes('"type":"entry"'));
  const [first = '', second = '', third = ''] = entries;
  const told = (changed: readonly string[]): string => verifyText([...changed, ...rest].join('\n')).stderr;
  expect(told([first.replace('user:local', 'user:nobody'), second, third])).toMatch(/AUDIT_CHANGED: entry 1/);
  expect(told([second, first, third])).toMatch(/AUDIT_GAP: entry 1/);
  expect(told([first, third])).toMatch(/AUDIT_GAP: entry 2/);
  expect(told([])).toMatch(/AUDIT_CUT: entry 1/);
  const forged = rest.map((line) => line.replace(/"atMs":\d/, '"atMs":9'));
  expect(verifyText([...entries, ...forged].join('\n')).stderr).toMatch(/AUDIT_FORGED/);
  expect(verifyText('{"type":"other"}').stderr).toMatch(/AUDIT_UNREADABLE/);
});

test('a row that was changed in the database itself is found by the running control plane', () => {
  const database = new DatabaseSync(join(dataDir, 'x0.sqlite'));
  database.exec("UPDATE audit_entries SET body = replace(body, 'user:local', 'user:nobody') WHERE seq = 2");
  expect(audit('verify')).toMatchObject({ stderr: expect.stringMatching(/AUDIT_CHANGED: entry 2/) });
  database.exec("UPDATE audit_entries SET body = replace(body, 'user:nobody', 'user:local') WHERE seq = 2");
  database.close();
  expect(audit('verify').status).toBe(0);
});

test('no token, credential or key is in the log of changes or in the log of the program', async () => {
  const { token } = await client.ask('POST', '/tokens', { node: 'cairo' });
  const credential = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
  const said = `${audit('export').stdout}${control.output}`;
  expect(said).toContain('tokens:create');
  for (const secret of [String(token), String(token).slice(-40), credential]) expect(said).not.toContain(secret);
});

test('who is not admitted is in the log, with its address and why', async () => {
  const { token, id } = (await client.ask('POST', '/tokens', { node: 'cairo' })) as { token: string; id: string };
  await client.ask('DELETE', `/tokens/${id}`);
  await expect(enrolNode({ token })).rejects.toMatchObject({ code: 'TOKEN_UNKNOWN' });
  expect(audit('list').stdout).toMatch(/stranger +nodes:enrol +127\.0\.0\.1 +denied/);
});
