import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PURE_FOLDERS } from './tidy/rules.ts';

/** One checker of the sources: what it is called and the command that runs it. */
interface Check {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

const root = dirname(import.meta.dirname);
const pureFolders = PURE_FOLDERS.filter((folder) => existsSync(join(root, 'src', folder, 'tsconfig.json')));
const sourceFolders = ['src', 'tools', 'tests', 'bench', 'bin', 'sim'].filter((folder) =>
  existsSync(join(root, folder)),
);
const checks: readonly Check[] = [
  { name: 'types', command: ['tsc', '-p', 'tsconfig.json'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'format', command: ['biome', 'format', ...sourceFolders, 'vitest.config.ts'] },
  { name: 'tidy', command: [process.execPath, 'tools/tidy/main.ts'] },
  ...pureFolders.map((folder): Check => ({ name: `pure ${folder}`, command: ['tsc', '-p', `src/${folder}`] })),
];

/** Runs one check and prints what it said if it failed. */
async function runCheck({ name, command }: Check): Promise<boolean> {
  const startedMs = performance.now();
  const [program, ...args] = command;
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const said: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => said.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk));
  const code = await new Promise<number>((resolve) => {
    child.on('error', (error) => {
      said.push(Buffer.from(`${error.message}\n`));
      resolve(1);
    });
    child.on('close', (exitCode) => resolve(exitCode ?? 1));
  });
  const tookMs = Math.round(performance.now() - startedMs);
  process.stdout.write(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${tookMs} ms)\n`);
  if (code !== 0) process.stdout.write(`${Buffer.concat(said).toString()}\n`);
  return code === 0;
}

const results = await Promise.all(checks.map(runCheck));
const failures = results.filter((passed) => !passed).length;
process.stdout.write(`check: ${results.length - failures} passed, ${failures} failed\n`);
if (failures > 0 || pureFolders.length === 0) process.exitCode = 1;
