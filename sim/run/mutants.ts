import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { MUTANTS, type Mutant } from '../mutants/list.ts';

const root = dirname(dirname(import.meta.dirname));
/** A bug that these many seeds do not find is not found. */
const MAX_SEEDS = 200;
/** A run that never ends fails by itself (timeline.ts), so this is a machine that is too slow. */
const HUNT_TIMEOUT_MS = 600_000;

interface Hunt {
  readonly mutant: Mutant;
  readonly isFound: boolean;
  readonly text: string;
}

/** Plants each bug in turn, in a child process, and lets seeds hunt for it. */
export async function runMutants(only: string | undefined): Promise<boolean> {
  const mutants = MUTANTS.filter(({ name }) => only === undefined || name === only);
  const waiting = [...mutants];
  const hunts: Hunt[] = [];
  const work = async (): Promise<void> => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const hunt = await huntFor(mutant);
      hunts.push(hunt);
      process.stdout.write(`${hunt.isFound ? 'found ' : 'MISSED'} ${mutant.name.padEnd(34)} ${hunt.text}\n`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  const found = hunts.filter(({ isFound }) => isFound).length;
  process.stdout.write(`sim: ${found} of ${mutants.length} planted bugs found within ${MAX_SEEDS} seeds each\n`);
  return mutants.length > 0 && found === mutants.length;
}

async function huntFor(mutant: Mutant): Promise<Hunt> {
  const source = readFileSync(join(root, mutant.file), 'utf8');
  if (source.split(mutant.find).length !== 2)
    return { mutant, isFound: false, text: `its patch does not apply to ${mutant.file}` };
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      '--import',
      join(root, 'sim/run/patch-sources.ts'),
      join(root, 'sim/run/hunt.ts'),
      '1',
      String(MAX_SEEDS),
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, X0_SIM_MUTANT: mutant.name },
      timeout: HUNT_TIMEOUT_MS,
    },
  );
  let said = '';
  let erred = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (erred += chunk.toString()));
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.on('close', (exitCode, exitSignal) => resolve([exitCode, exitSignal])),
  );
  if (signal === 'SIGTERM') return { mutant, isFound: false, text: `not found in ${HUNT_TIMEOUT_MS / 1000} s` };
  if (code !== 0) return { mutant, isFound: false, text: `the hunt failed: ${erred.slice(0, 300)}` };
  const found = JSON.parse(said) as { seed: number; code: string; detail: string } | null;
  if (found === null) return { mutant, isFound: false, text: `not found in ${MAX_SEEDS} seeds` };
  return { mutant, isFound: true, text: `by seed ${found.seed}: ${found.code}: ${found.detail}`.slice(0, 160) };
}
