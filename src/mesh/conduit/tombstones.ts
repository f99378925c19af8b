/** The opener may come back to ask as long as its own minute lasts, and twice again for good measure. */
const TOMBSTONE_MS = 180_000;
/** An opener that knows the end does not ask again; what is still under way to here does not take longer. */
const CONFIRMED_MS = 15_000;
/** 2,000 conduits a second for as long as confirmed ones are kept, twice. */
export const MAX_TOMBSTONES = 65_536;

interface Tombstone {
  readonly code: string;
  readonly untilMs: number;
}

/** How conduits ended that were offered to this node: whoever asks for one again is told, and no target is dialled twice. */
export class Tombstones {
  readonly #byKey = new Map<string, Tombstone>();

  get isFull(): boolean {
    return this.#byKey.size >= MAX_TOMBSTONES;
  }

  /** `code`: why it ended, `CONDUIT_FINISHED` when both directions ended in good order. */
  add(key: string, code: string, nowMs: number): void {
    this.#byKey.set(key, { code, untilMs: nowMs + TOMBSTONE_MS });
  }

  /** Its opener knows how it ended. */
  confirm(key: string, nowMs: number): void {
    const known = this.#byKey.get(key);
    if (known === undefined) return;
    // Moved to the end: what expires first is found first, but for the unconfirmed.
    this.#byKey.delete(key);
    this.#byKey.set(key, { code: known.code, untilMs: Math.min(known.untilMs, nowMs + CONFIRMED_MS) });
  }

  get(key: string): string | undefined {
    return this.#byKey.get(key)?.code;
  }

  handleDeadline(nowMs: number): void {
    for (const [key, { untilMs }] of this.#byKey) if (untilMs <= nowMs) this.#byKey.delete(key);
  }
}
