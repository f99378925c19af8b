/**
 * `npm run chaos`: real faults on real processes and a verdict. Each kind of fault is reported with the gaps that it made, by place, and
 * of a short run each fault. Needs root, iproute2 and nftables; without them only processes are killed and frozen.
 */
import { SeededRandom } from '#kernel/random.ts';
import { ArgumentError, oneOf, readArguments, wholeNumber } from '../harness/arguments.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';
import { type CampaignResult, dealKinds, type FaultEvent, runCampaign } from './campaign.ts';
import { FAULT_KINDS, type FaultKind, PROCESS_FAULTS } from './faults.ts';
import { endOnSignals } from './signals.ts';
import { TOPOLOGIES, type Topology } from './topologies.ts';

const isLocal = SYSTEM_MISSING !== undefined;
const KINDS = isLocal ? PROCESS_FAULTS : FAULT_KINDS;
/** The first words of their names. */
const SHORT_NAMES = TOPOLOGIES.map(({ name }) => name.split(' ')[0] ?? name);
const USAGE = `npm run chaos -- [--faults N] [--topology NAME] [--kinds KIND,…] [--streams N] [--seed N]
  --faults N        at least so many, as many in each topology; 60 unless given
  --topology NAME   ${SHORT_NAMES.join(', ')} or all, which is the default
  --kinds KIND,…    of ${KINDS.join(', ')}; all unless given
  --streams N       streams at once; 8 unless given
  --seed N          what is chosen, and in which order; 1 unless given`;
const OPTIONS = {
  faults: { type: 'string', default: '60' },
  topology: { type: 'string', default: 'all' },
  kinds: { type: 'string', default: KINDS.join(',') },
  streams: { type: 'string', default: '8' },
  seed: { type: 'string', default: '1' },
} as const;
/** Of more faults than these only the distribution is of use. */
const MOST_LISTED = 20;

interface ChaosPlan {
  readonly topologies: readonly Topology[];
  readonly kinds: readonly FaultKind[];
  /** In each topology. */
  readonly faults: number;
  readonly streams: number;
  readonly seed: number;
}

const plan = readArguments(USAGE, OPTIONS, (values): ChaosPlan => {
  const topologies = topologiesOf(values.topology);
  return {
    topologies,
    kinds: [...new Set(values.kinds.split(',').map((kind) => kindOf(kind)))],
    faults: Math.ceil(wholeNumber('faults', values.faults, 1) / topologies.length),
    streams: wholeNumber('streams', values.streams, 1),
    seed: wholeNumber('seed', values.seed, 0),
  };
});
endOnSignals();
const gaps = new Map<string, number[]>();
const repairs: number[] = [];
const total = { faults: 0, streams: 0, bytes: 0, moves: 0, wrong: 0, broken: [] as string[], unfinished: 0 };
const isListed = plan.faults * plan.topologies.length <= MOST_LISTED;
const random = new SeededRandom(plan.seed);
const order = dealKinds(plan.kinds, plan.faults * plan.topologies.length, random);

for (const [index, topology] of plan.topologies.entries()) {
  const kinds = order.slice(index * plan.faults, (index + 1) * plan.faults);
  print(`${topology.name}: ${kinds.length} faults of ${[...new Set(kinds)].toSorted().join(', ')}`);
  const { streams } = plan;
  add(await runCampaign({ topology, kinds, streams, seed: random.word(), isLocal, onFault: tell }));
}

for (const [place, samples] of [...gaps].toSorted(([a], [b]) => a.localeCompare(b)))
  print(`${place}: ${samples.length} faults, gap ${spread(samples)}`);
print(`repair after detection, ${repairs.length} moves: ${spread(repairs)}`);
print(
  `${total.faults} faults, ${total.streams} streams, ${(total.bytes / 1e6).toFixed(0)} MB there and back, ${total.moves} moves: ` +
    `${total.broken.length} streams broken, ${total.unfinished} not finished, ${total.wrong} bytes wrong` +
    (isLocal ? ` (namespaces skipped: it ${SYSTEM_MISSING})` : ''),
);
for (const broken of total.broken) print(broken);
if (total.broken.length > 0 || total.wrong > 0 || total.unfinished > 0 || total.moves === 0) process.exitCode = 1;

function topologiesOf(name: string): readonly Topology[] {
  if (name === 'all') return TOPOLOGIES;
  const short = oneOf('topology', name, SHORT_NAMES);
  return TOPOLOGIES.filter((_topology, i) => SHORT_NAMES[i] === short);
}

function kindOf(name: string): FaultKind {
  const isElsewhere = (FAULT_KINDS as readonly string[]).includes(name) && !(KINDS as readonly string[]).includes(name);
  if (isElsewhere) throw new ArgumentError(`--kinds ${name}: not on this machine: it ${SYSTEM_MISSING}`);
  return oneOf('kinds', name, KINDS);
}

function tell(event: FaultEvent, index: number): void {
  if (!isListed && index % 10 === 9) print(`  ${index + 1} faults so far, the last: ${describe(event)}`);
}

function describe({ kind, relay, neighbour, position }: FaultEvent): string {
  const between = ['partition', 'one-way'].includes(kind) ? ` from ${neighbour}` : '';
  return `${kind} of ${relay}${between} (${position})`;
}

function add({ events, report, moves, repairsMs, gapsMs }: CampaignResult): void {
  repairs.push(...repairsMs);
  for (const [index, event] of events.entries()) {
    const gapMs = gapsMs[index] ?? 0;
    if (isListed) print(`  ${describe(event)}: gap ${gapMs.toFixed(0)} ms`);
    const place = `${event.kind}, ${event.position} relay`;
    gaps.set(place, [...(gaps.get(place) ?? []), gapMs]);
  }
  total.faults += events.length;
  total.streams += report.streams;
  total.bytes += report.bytes;
  total.moves += moves;
  total.wrong += report.wrong;
  total.broken.push(...report.broken);
  total.unfinished += report.streams - report.finished;
}

function at(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN).toFixed(0);
}

function spread(samples: readonly number[]): string {
  const sorted = samples.toSorted((a, b) => a - b);
  return `p50 ${at(sorted, 0.5)} ms, p99 ${at(sorted, 0.99)} ms, worst ${at(sorted, 1)} ms`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
