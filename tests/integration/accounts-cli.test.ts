import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createProgram } from '#apps/cli/program.ts';
import { startTestControl, type TestControl } from '../fixtures/test-control.ts';

const PASSWORD = 'correct horse battery';

let control: TestControl;
beforeAll(async () => {
  control = await startTestControl();
});
afterAll(async () => control.stop());

async function x0(args: readonly string[], environment: Record<string, string> = {}): Promise<string> {
  const lines: string[] = [];
  const config = { dataDir: control.dataDir, command: './x0', version: '0.1.0', environment };
  const print = (line: string): void => void lines.push(line);
  const program = createProgram({ config, isTerminal: false, print, warn: print, readSecret: async () => PASSWORD });
  await program.parseAsync(args, { from: 'user' });
  return lines.join('\n');
}

test('admin.token is used until somebody logs in, and again after logout; a key is used when it is given', async () => {
  const code = await x0(['users', 'invite', '--role', 'viewer']);
  expect(code).toMatch(/^x0i_/);
  expect(await x0(['register', code, '--name', 'anna@example.org'])).toMatch(
    /^you are anna@example\.org, viewer, until /,
  );
  const file = join(control.dataDir, 'session.json');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  await expect(x0(['token', 'create', '--node', 'oslo'])).rejects.toMatchObject({ code: 'ACTION_DENIED' });
  const key = await x0([
    'keys',
    'create',
    '--name',
    'ci',
    '--action',
    'services:read',
    '--action',
    'nodes:read',
    '--ttl',
    '60',
  ]);
  expect(key).toMatch(/^x0k_/);
  expect(await x0(['logout'])).toBe('logged out');
  expect(existsSync(file)).toBe(false);
  expect(await x0(['token', 'create', '--node', 'oslo'])).toMatch(/^x0join/);
  expect(await x0(['services'], { X0_API_KEY: key })).toBe('no service is published');
  await expect(x0(['status'], { X0_API_KEY: key })).rejects.toMatchObject({ code: 'ACTION_DENIED' });
  await expect(x0(['logout'])).rejects.toMatchObject({ code: 'SESSION_NEEDED' });
});

test('users are listed, given a role by name, disabled, and keys are revoked', async () => {
  const code = await x0(['users', 'invite', '--role', 'viewer']);
  await x0(['register', code, '--name', 'bert']);
  const api = control.admin;
  expect(await x0(['keys', 'create', '--name', 'mine', '--role', 'viewer'])).toMatch(/^x0k_/);
  await x0(['logout']);
  expect(await x0(['users', 'role', 'Bert', 'operator'])).toBe('bert is operator');
  expect(await x0(['users', 'list'])).toMatch(/\nbert +operator +no +/);
  const [, mine = ''] = /\n([0-9a-f]{32}) +mine /.exec(await x0(['keys', 'list'])) ?? [];
  expect(await x0(['keys', 'revoke', mine])).toBe(`${mine} has ended`);
  expect(await x0(['login', '--name', 'bert', '--api', api])).toContain('bert, operator');
  await x0(['logout']);
  expect(await x0(['users', 'disable', 'bert'])).toBe('bert is operator, disabled');
  await expect(x0(['login', '--name', 'bert'])).rejects.toMatchObject({ code: 'LOGIN_WRONG' });
  expect(await x0(['users', 'enable', 'bert'])).toBe('bert is operator');
  await expect(x0(['users', 'disable', 'nobody'])).rejects.toMatchObject({ code: 'USER_UNKNOWN' });
  await expect(x0(['users', 'role', 'bert', 'king'])).rejects.toMatchObject({ code: 'INPUT_INVALID' });
});
