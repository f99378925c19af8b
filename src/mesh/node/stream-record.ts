import type { Counters } from '#kernel/counters.ts';
import { Histogram } from '#kernel/histogram.ts';
import type { ConduitHandle } from '#mesh/node/conduit-handle.ts';

/** Seconds: from a stream inside one machine to a conduit's last minute. */
const DURATION_BOUNDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];

/** What the streams of services at a node came to: where they lead, how soon they were open, how long they stood still. */
export class StreamRecord {
  /** From the application's wish to the answer of the other end. */
  readonly openSeconds = new Histogram(DURATION_BOUNDS);
  /** For how long nothing connected the two ends of a stream that moved. */
  readonly gapSeconds = new Histogram(DURATION_BOUNDS);
  readonly #counters: Counters;
  /** Conduits that this node has opened, by destination. */
  readonly #destinations = new Map<string, number>();

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** Nodes to which this node has streams open. */
  destinations(): Iterable<string> {
    return this.#destinations.keys();
  }

  get isBusy(): boolean {
    return this.#destinations.size > 0;
  }

  noteOpened({ peer, openedWallMs }: ConduitHandle, wallMs: number): void {
    this.#destinations.set(peer, (this.#destinations.get(peer) ?? 0) + 1);
    this.openSeconds.observe(Math.max(0, wallMs - openedWallMs) / 1_000);
  }

  noteMoved(local: ConduitHandle, nowMs: number, wallMs: number): void {
    const gapMs = local.endMove(nowMs, wallMs);
    if (gapMs === undefined) return;
    this.#counters.add('conduit-moved');
    this.gapSeconds.observe(gapMs / 1_000);
  }

  noteClosed({ direction, state, peer }: ConduitHandle): void {
    if (direction === 'in' || state !== 'open') return;
    const count = (this.#destinations.get(peer) ?? 1) - 1;
    if (count > 0) this.#destinations.set(peer, count);
    else this.#destinations.delete(peer);
  }
}
