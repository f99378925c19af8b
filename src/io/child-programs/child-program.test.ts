import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ChildProgram } from './child-program.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'x0-child-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function start(source: string): ChildProgram {
  const path = join(folder, 'program.mjs');
  writeFileSync(path, source);
  return new ChildProgram({
    name: 'oslo',
    args: [path],
    environment: { SECRET: 's3' },
    logPath: join(folder, 'oslo.log'),
  });
}

test('a child is ready when it says so, and ends when asked', async () => {
  const child = start(`process.on('SIGTERM', () => process.exit(0)); process.on('message', () => {});
    console.log(process.env.SECRET); process.send({ type: 'ready' });`);
  await child.ready;
  await child.stop();
  expect(await child.exited).toBe('status 0');
  expect(readFileSync(join(folder, 'oslo.log'), 'utf8')).toBe('s3\n');
});

test('a child that does not end is killed', async () => {
  const child = start(
    `process.on('SIGTERM', () => {}); process.on('message', () => {}); process.send({ type: 'ready' });`,
  );
  await child.ready;
  await child.stop();
  expect(await child.exited).toBe('SIGKILL');
});

test('a child that fails says why', async () => {
  const child = start(`process.send({ type: 'failed', code: 'PORT_IN_USE', message: 'no' }, () => process.exit(3));`);
  await expect(child.ready).rejects.toMatchObject({ code: 'PORT_IN_USE', message: 'oslo: no' });
  expect(await child.exited).toBe('status 3');
});

test('a child that ends without a word is reported with its log', async () => {
  const child = start(`process.exit(7);`);
  await expect(child.ready).rejects.toMatchObject({
    code: 'CHILD_ENDED',
    message: expect.stringContaining('oslo.log') as string,
  });
});
