/** `node tools/launch.mjs tests/chaos/kill-control.ts`: kills a control plane under writes, on each database that is here. */
import { SeededRandom } from '#kernel/random.ts';
import { oneOf, readArguments, wholeNumber } from '../harness/arguments.ts';
import { POSTGRES_MISSING, PostgresDatabases } from '../harness/databases.ts';
import { killControl } from './control-kills.ts';
import { endOnSignals } from './signals.ts';

const USAGE = `node tools/launch.mjs tests/chaos/kill-control.ts [--kills N] [--seed N]
  --kills N   of each database's control plane; 100 unless given
  --seed N    when they come; 1 unless given
  --only NAME sqlite or postgresql; both unless given`;
const OPTIONS = {
  kills: { type: 'string', default: '100' },
  seed: { type: 'string', default: '1' },
  only: { type: 'string', default: 'both' },
} as const;
const plan = readArguments(USAGE, OPTIONS, (values) => ({
  kills: wholeNumber('kills', values.kills, 1),
  seed: wholeNumber('seed', values.seed, 0),
  only: oneOf('only', values.only, ['both', 'sqlite', 'postgresql']),
}));
endOnSignals();
if (plan.only !== 'postgresql') await run('SQLite', undefined);
if (plan.only === 'sqlite') process.exit();
if (POSTGRES_MISSING === undefined) {
  const postgres = new PostgresDatabases();
  await run('PostgreSQL', await postgres.create());
  await postgres.stop();
} else process.stdout.write(`PostgreSQL is skipped: it ${POSTGRES_MISSING}\n`);

async function run(name: string, databaseUrl: string | undefined): Promise<void> {
  const report = await killControl({
    kills: plan.kills,
    databaseUrl,
    random: new SeededRandom(plan.seed),
    onKill: (kill, acknowledged) => {
      if (kill % 10 === 0)
        process.stdout.write(`${name}: ${kill} kills, ${acknowledged} writes acknowledged, none lost\n`);
    },
  });
  const { kills, acknowledged, cut, cutButThere, auditEntries, startMostMs } = report;
  process.stdout.write(
    `${name}: ${kills} kills; ${acknowledged} acknowledged writes are all there and in the audit log, whose ${auditEntries} entries are whole; ` +
      `${cut} were cut short, ${cutButThere} of them are there; a start took ${startMostMs.toFixed(0)} ms at most\n`,
  );
}
