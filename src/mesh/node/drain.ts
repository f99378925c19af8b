/** What is to be done about a node that is to stop. */
export type DrainStep = 'wait' | 'end-streams' | 'stop';

/** What still needs the node. */
export interface DrainLoad {
  /** Circuits of others that run through it. */
  readonly circuits: number;
  /** Streams that begin or end at it. */
  readonly streams: number;
}

/** A node that asks others to go round it is heard everywhere within this: until then a new circuit may be on its way here. */
const LEAST_MS = 1_000;
/** What says that a stream ended leaves the node within this. */
const FAREWELL_MS = 250;

/**
 * A node on its way to stop: begun, it waits until nothing needs it or the grace time is over, ends the streams that are left,
 * gives their farewell time to leave, and stops. Until the streams are ended it can be called back by forgetting it.
 */
export class Drain {
  readonly #startedMs: number;
  #graceMs: number;
  #graceFromMs: number;
  #endedMs: number | undefined;

  constructor(graceMs: number, nowMs: number) {
    this.#startedMs = nowMs;
    this.#graceFromMs = nowMs;
    this.#graceMs = graceMs;
  }

  /** From now on, another grace time. */
  renew(graceMs: number, nowMs: number): void {
    this.#graceMs = graceMs;
    this.#graceFromMs = nowMs;
  }

  /** What is left of the grace time, in milliseconds. */
  leftMs(nowMs: number): number {
    return Math.max(0, this.#graceFromMs + this.#graceMs - nowMs);
  }

  /** Its streams were ended: it cannot be called back. */
  get isEnding(): boolean {
    return this.#endedMs !== undefined;
  }

  /** Asked a few times a second. `end-streams` is said once. */
  decide({ circuits, streams }: DrainLoad, nowMs: number): DrainStep {
    if (this.#endedMs !== undefined) return nowMs - this.#endedMs >= FAREWELL_MS ? 'stop' : 'wait';
    const isNeeded = circuits > 0 || streams > 0 || nowMs - this.#startedMs < LEAST_MS;
    if (isNeeded && this.leftMs(nowMs) > 0) return 'wait';
    this.#endedMs = nowMs;
    return 'end-streams';
  }
}
