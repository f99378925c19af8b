import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findProcesses, runX0, type X0Command, X0Process } from '../harness/x0-process.ts';

const root = dirname(dirname(import.meta.dirname));
let folder: string;
let installed: X0Command;

/** Packs this clone and installs the tarball in an empty folder, as a user would. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'x0-package-'));
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [tarball = ''] = readdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  const options = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  execFileSync('npm', ['install', ...options, `./${tarball}`], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  installed = [join(folder, 'node_modules', '.bin', 'x0')];
}, 180_000);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** What watches the links of the installed mesh. */
function detectors(dataDir: string): readonly string[] {
  const { stdout } = runX0(installed, ['peers', '--json', '--data-dir', dataDir]);
  const { peers } = JSON.parse(stdout) as { readonly peers: readonly { readonly detector: string }[] };
  return [...new Set(peers.map(({ detector }) => detector))];
}

test('the tarball holds plain JavaScript and no sources, tests or keys', () => {
  const files = shippedFiles();
  expect(
    files.filter((name) => /(?<!\.d)\.ts$/.test(name) || (/test|fake/.test(name) && !name.endsWith('.md'))),
  ).toEqual([]);
  expect(files).toContain(join('dist', 'apps', 'cli', 'main.js'));
});

test('what the README links to comes along, but for sources', () => {
  const files = new Set(shippedFiles());
  const readme = readFileSync(join(folder, 'node_modules', 'x0tta6bl4', 'README.md'), 'utf8');
  const links = [...readme.matchAll(/\]\(([\w./-]+)(?:#[\w-]*)?\)/g)].map(([, path = '']) => path);
  expect(links).toEqual(
    expect.arrayContaining(['docs/guide/apart.md', 'SECURITY.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md']),
  );
  expect(links.filter((path) => !/^(?:src|tools|sim|tests)(?:\/|$)/.test(path) && !files.has(path))).toEqual([]);
});

function shippedFiles(): readonly string[] {
  return readdirSync(join(folder, 'node_modules', 'x0tta6bl4'), { recursive: true, encoding: 'utf8' });
}

test('an older Node hands over to the one that was installed along', () => {
  const old =
    'data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.11.0"}})';
  const bin = join(folder, 'node_modules', 'x0tta6bl4', 'bin', 'x0.js');
  expect(runX0([process.execPath, '--import', old, bin], ['--version'])).toMatchObject({
    status: 0,
    stdout: '0.1.0\n',
  });
});

test('the installed command knows its version and starts a whole mesh', async () => {
  expect(runX0(installed, ['--version'])).toMatchObject({ status: 0, stdout: '0.1.0\n' });
  const dataDir = join(folder, 'data');
  const up = new X0Process(installed, ['up', '--ephemeral', '--data-dir', dataDir]);
  const [, socks = ''] = await up.says(/curl --proxy (\S+) http:\/\/hello\.mesh\//);
  await up.says(/Ctrl-C stops everything that this started/);
  expect(execFileSync('curl', ['-sS', '--proxy', socks, 'http://hello.mesh/'], { encoding: 'utf8' })).toMatch(
    /^hello from lima/,
  );
  // The detector's thread is a program of its own in the package.
  await expect.poll(() => detectors(dataDir), { timeout: 10_000 }).toEqual(['udp']);
  expect(await up.end('SIGTERM')).toBe(0);
  await expect.poll(() => up.output).toContain(`stopped; state kept in ${dataDir}\n`);
  expect(findProcesses(dataDir)).toEqual([]);
  expect(up.output).not.toMatch(/warning/i);
}, 60_000);
