import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { SYSTEM_MISSING } from '../harness/system.ts';
import { findProcesses } from '../harness/x0-process.ts';

const root = join(import.meta.dirname, '..', '..');
const FLAG = '--disable-warning=ExperimentalWarning';

/** A program as the leader of a group, like that of a terminal, with a directory of its own for what it leaves. */
function startGroup(words: readonly string[], TMPDIR = tmpdir()): ChildProcess {
  const env = { ...process.env, TMPDIR };
  return spawn(process.execPath, words, { cwd: root, detached: true, stdio: ['ignore', 'pipe', 'ignore'], env });
}

/** Waits until the program has said `what`; resolves to all that it said. */
async function hears(child: ChildProcess, what: RegExp): Promise<string> {
  let said = '';
  while (!what.test(said)) said += String(((await once(child.stdout ?? child, 'data')) as [Buffer])[0]);
  return said;
}

function interrupt({ pid = 0 }: ChildProcess, signal: NodeJS.Signals): void {
  process.kill(-pid, signal);
}

function namespaces(): readonly string[] {
  return spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout.split('\n');
}

describe.skipIf(SYSTEM_MISSING !== undefined)('a program that is interrupted', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'removes its namespaces also when %s comes again while it does',
    async (signal) => {
      const child = startGroup([FLAG, 'tests/fixtures/interrupted-child.ts']);
      const exited = once(child, 'exit');
      const [prefix = ''] = (await hears(child, /-one\n/)).split('-one');
      expect(namespaces().filter((name) => name.startsWith(prefix))).toHaveLength(3);
      interrupt(child, signal);
      await hears(child, /ends/);
      for (let again = 0; again < 3; again++) interrupt(child, signal);
      expect(await exited).toEqual([128 + constants.signals[signal], null]);
      expect(namespaces().filter((name) => name.startsWith(prefix))).toEqual([]);
    },
  );

  test('leaves no keys, no namespaces and no processes of the demonstration', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'x0-interrupted-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const before = new Set(namespaces());
    const child = startGroup(['tools/launch.mjs', 'tests/chaos/demo.ts'], directory);
    const exited = once(child, 'exit');
    await hears(child, /starting a control plane/);
    const made = namespaces().filter((name) => !before.has(name) && name.endsWith('-kyoto'));
    expect(made).toHaveLength(1);
    expect(readdirSync(directory)).toHaveLength(1);
    for (let time = 0; time < 2; time++) interrupt(child, 'SIGTERM');
    expect(await exited).toEqual([143, null]);
    expect(namespaces()).not.toContain(made[0]);
    expect(readdirSync(directory)).toEqual([]);
    expect(findProcesses(directory)).toEqual([]);
  });
});
