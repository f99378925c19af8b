/** A time in which a stream that should have had bytes had none. */
export interface Gap {
  /** Unix milliseconds, with fractions. */
  readonly fromMs: number;
  readonly gapMs: number;
}

/** When a fault began and was healed; both as {@link now}. */
export interface FaultTimes {
  readonly atMs: number;
  readonly healedMs: number;
}

/** Gaps that begin up to this long after a fault was healed are still its own. */
const AFTERMATH_MS = 500;

/** Unix milliseconds, with fractions; the same for all processes of a host. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/**
 * The longest gap because of each fault, in milliseconds; 0 where there was none. A gap is the doing of the latest fault before its end;
 * it counts from that fault on.
 */
export function longestGaps(faults: readonly FaultTimes[], gaps: readonly Gap[]): readonly number[] {
  const worst = faults.map(() => 0);
  for (const { fromMs, gapMs } of gaps) {
    const endMs = fromMs + gapMs;
    const index = faults.findLastIndex(({ atMs }) => atMs < endMs);
    const fault = faults[index];
    if (fault === undefined || fromMs > fault.healedMs + AFTERMATH_MS) continue;
    worst[index] = Math.max(worst[index] ?? 0, endMs - Math.max(fromMs, fault.atMs));
  }
  return worst;
}
