import { FAULT_KINDS } from '../faults/fault.ts';

export type Totals = Record<string, number>;

/** A run of fewer seeds may miss a rare kind of fault or of stream. */
const SEEDS_FOR_ALL = 150;
/** What is the worst of all runs instead of their sum. */
const WORST = /worst$/;
/** What even one run must have seen. */
const ALWAYS = [
  'runs',
  'events',
  'faults',
  'streamsOpened',
  'streamsFinished',
  'moves',
  'bytesChecked',
  'recordsCompared',
];
const IN_MANY = [
  'streamsAborted',
  'circuitsFollowed',
  'hopsFollowed',
  'detections',
  'liesTold',
  ...FAULT_KINDS.map((kind) => `fault ${kind}`),
];

export function addTotals(all: Totals, one: Readonly<Totals>): void {
  for (const [name, count] of Object.entries(one)) {
    const before = all[name] ?? 0;
    all[name] = WORST.test(name) ? Math.max(before, count) : before + count;
  }
}

/** A check that saw nothing fails: the names of what these runs should have seen and did not. */
export function findUnseen(totals: Readonly<Totals>): readonly string[] {
  const wanted = (totals['runs'] ?? 0) >= SEEDS_FOR_ALL ? [...ALWAYS, ...IN_MANY] : ALWAYS;
  return wanted.filter((name) => !((totals[name] ?? 0) > 0));
}

export function formatTotals(totals: Readonly<Totals>): string {
  const names = Object.keys(totals).toSorted();
  return names.map((name) => `  ${name.padEnd(24)} ${Math.round(totals[name] ?? 0).toLocaleString('en')}`).join('\n');
}
