import type { Reason } from '#mesh/mux/frame.ts';

/** The opener may come back to ask as long as its own minute lasts, and twice again for good measure. */
const TOMBSTONE_MS = 180_000;
/** An opener that knows the end does not ask again; what is still under way to here does not take longer. */
const CONFIRMED_MS = 15_000;
/** Of one opener: a thousand conduits a second for as long as confirmed ones are kept. */
export const MAX_TOMBSTONES_PER_OPENER = 16_384;
/** Of all: some 80 MiB. */
export const MAX_TOMBSTONES = 524_288;
/** What every opener may have when others have filled the rest. */
const LEAST_SHARE = 1_024;

/** All are looked at this often. */
const SWEEP_MS = 1_000;

/** Why it ended: `CONDUIT_FINISHED` when both directions ended in good order. */
export type EndReason = Pick<Reason, 'code' | 'decision'>;

interface Tombstone {
  readonly end: EndReason;
  readonly untilMs: number;
}

/**
 * How conduits ended that were offered to this node: whoever asks for one again is told, and no target is dialled twice. None is
 * evicted; an opener that has too many opens nothing more, and keeps nobody else from it.
 */
export class Tombstones {
  readonly #byOpener = new Map<string, Map<string, Tombstone>>();
  #count = 0;
  #sweepMs = 0;

  isFull(opener: string): boolean {
    const count = this.#byOpener.get(opener)?.size ?? 0;
    return count >= MAX_TOMBSTONES_PER_OPENER || (this.#count >= MAX_TOMBSTONES && count >= LEAST_SHARE);
  }

  add(opener: string, id: string, end: EndReason, nowMs: number): void {
    const known = this.#byOpener.get(opener) ?? new Map<string, Tombstone>();
    this.#byOpener.set(opener, known);
    if (!known.has(id)) this.#count++;
    known.set(id, { end, untilMs: nowMs + TOMBSTONE_MS });
  }

  /** Its opener knows how it ended. */
  confirm(opener: string, id: string, nowMs: number): void {
    const known = this.#byOpener.get(opener);
    const tombstone = known?.get(id);
    if (tombstone === undefined) return;
    known?.set(id, { end: tombstone.end, untilMs: Math.min(tombstone.untilMs, nowMs + CONFIRMED_MS) });
  }

  get(opener: string, id: string): EndReason | undefined {
    return this.#byOpener.get(opener)?.get(id)?.end;
  }

  handleDeadline(nowMs: number): void {
    if (nowMs < this.#sweepMs) return;
    this.#sweepMs = nowMs + SWEEP_MS;
    for (const [opener, known] of this.#byOpener) {
      for (const [id, { untilMs }] of known) {
        if (untilMs > nowMs) continue;
        known.delete(id);
        this.#count--;
      }
      if (known.size === 0) this.#byOpener.delete(opener);
    }
  }
}
