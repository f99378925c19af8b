/**
 * `npm run chaos [-- --faults N] [--topology NAME] [--kinds kill,freeze] [--streams N] [--seed N]`: real faults on real processes, each
 * reported with the gap it made, and a verdict. Needs root, iproute2 and nftables; without them only processes are killed and frozen.
 */
import { parseArgs } from 'node:util';
import { SYSTEM_MISSING } from '../harness/system.ts';
import { type CampaignResult, type FaultEvent, runCampaign } from './campaign.ts';
import { FAULT_KINDS, PROCESS_FAULTS } from './faults.ts';
import { endOnSignals } from './signals.ts';
import { TOPOLOGIES } from './topologies.ts';

const { values } = parseArgs({
  options: {
    faults: { type: 'string', default: '60' },
    topology: { type: 'string', default: 'all' },
    kinds: { type: 'string' },
    streams: { type: 'string', default: '8' },
    seed: { type: 'string', default: '1' },
  },
});

const isLocal = SYSTEM_MISSING !== undefined;
const available = isLocal ? PROCESS_FAULTS : FAULT_KINDS;
const kinds = available.filter((kind) => values.kinds === undefined || values.kinds.split(',').includes(kind));
const topologies = TOPOLOGIES.filter(({ name }) => values.topology === 'all' || name.startsWith(values.topology));
if (kinds.length === 0 || topologies.length === 0)
  throw new Error(`no such kind or topology here: ${process.argv.join(' ')}`);

endOnSignals();
const gaps = new Map<string, number[]>();
const repairs: number[] = [];
const total = { faults: 0, streams: 0, bytes: 0, moves: 0, wrong: 0, broken: [] as string[], unfinished: 0 };

for (const topology of topologies) {
  const faults = Math.ceil(Number(values.faults) / topologies.length);
  print(`${topology.name}: ${faults} faults of ${kinds.join(', ')}`);
  const result = await runCampaign({
    topology,
    kinds,
    faults,
    streams: Number(values.streams),
    seed: Number(values.seed),
    isLocal,
    onFault: tell,
  });
  add(result);
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

function tell({ kind, relay, neighbour, position }: FaultEvent, index: number): void {
  const between = ['partition', 'one-way'].includes(kind) ? ` from ${neighbour}` : '';
  if (index % 10 === 9) print(`  ${index + 1} faults so far, the last: ${kind} of ${relay}${between} (${position})`);
}

function add({ events, report, moves, repairsMs, gapsMs }: CampaignResult): void {
  repairs.push(...repairsMs);
  for (const [index, { kind, position }] of events.entries()) {
    const place = `${kind}, ${position} relay`;
    gaps.set(place, [...(gaps.get(place) ?? []), gapsMs[index] ?? 0]);
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
