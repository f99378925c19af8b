/** What tests of the tier `system` need from the machine, and what is said where it is missing. */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';

const PROGRAMS = [
  'ip',
  'nft',
  'tc',
  'tcpdump',
  'curl',
  'psql',
  'redis-server',
  'prometheus',
  'promtool',
  'openssl',
  'setpriv',
] as const;
const DIRECTORIES = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];

/** Debian's PostgreSQL programs; undefined where it is not installed. */
export const POSTGRES_BIN = globSync('/usr/lib/postgresql/*/bin').toSorted().at(-1);

function findMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const missing = PROGRAMS.filter((program) => !DIRECTORIES.some((directory) => existsSync(`${directory}/${program}`)));
  if (POSTGRES_BIN === undefined) return 'needs the package postgresql';
  if (missing.length > 0) return `needs ${missing.join(', ')}`;
  const probe = `x0-probe-${process.pid}`;
  // In a session of its own, which is not interrupted between the two.
  const options = { encoding: 'utf8', detached: true } as const;
  const made = spawnSync('sh', ['-c', `ip netns add ${probe} && ip netns del ${probe}`], options);
  if (made.status !== 0) return 'may not make network namespaces';
  return undefined;
}

/** Why tests of this tier cannot run here; undefined where they can. In CI (`X0_SYSTEM_TESTS=required`) that is an error. */
export const SYSTEM_MISSING = findMissing();

if (SYSTEM_MISSING !== undefined) {
  if (process.env['X0_SYSTEM_TESTS'] === 'required') throw new Error(`the tier system ${SYSTEM_MISSING}`);
  process.stderr.write(`the tier system is skipped: it ${SYSTEM_MISSING}\n`);
}
