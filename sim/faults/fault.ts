/** Everything that can go wrong here. */
export const FAULT_KINDS = [
  'kill',
  'power-off',
  'freeze',
  'blackhole',
  'one-way',
  'partition',
  'clog',
  'slow-link',
  'lossy-link',
  'link-reset',
  'busy',
  'clock-jump',
  'tamper',
  'forge',
  'revoke',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** One fault of a schedule. `nodes`: the victim, or both ends of the link, or one side of the partition. */
export interface Fault {
  readonly kind: FaultKind;
  readonly atMs: number;
  readonly durationMs: number;
  readonly nodes: readonly string[];
  /** What kind of lie, how slow, how far: by kind. */
  readonly amount: number;
}

/** One line of a printed schedule. */
export function formatFault({ kind, atMs, durationMs, nodes, amount }: Fault): string {
  const span = `${(atMs / 1000).toFixed(3)} s for ${(durationMs / 1000).toFixed(3)} s`;
  return `${kind.padEnd(10)} ${span.padEnd(26)} ${nodes.join(' ')}${amount === 0 ? '' : ` (${amount.toFixed(3)})`}`;
}
