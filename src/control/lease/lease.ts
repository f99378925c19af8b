import { assert } from '#kernel/assert.ts';

/**
 * Which replica does what only one may do. Times are the database's, so replicas need not agree on theirs. The conformance
 * suite in `tests/fixtures/lease-suite.ts` is the specification.
 */
export interface LeaseStore {
  /**
   * Takes the lease when it is free or has ended, or prolongs it when `holder` has it. The epoch grows whenever the holder
   * changes; undefined when another has it.
   */
  take(name: string, holder: string, ttlMs: number): Promise<number | undefined>;
  /** Whether this is still the epoch of the lease, for whoever is asked to do something under it. */
  isCurrent(name: string, epoch: number): Promise<boolean>;
  /** Ends it at once, if `holder` has it. */
  release(name: string, holder: string): Promise<void>;
  /** Who holds leases whose names begin so. */
  listHolders(prefix: string): Promise<ReadonlySet<string>>;
  /** Forgets such leases that have ended; at most `limit`. */
  deleteEnded(prefix: string, limit: number): Promise<number>;
}

/** A replica that is gone is followed in this time and one renewal at most, together 3 s. */
export const LEASE_TTL_MS = 2_000;
export const LEASE_RENEW_MS = 500;

export interface LeaseOptions {
  readonly store: LeaseStore;
  readonly name: string;
  /** Unlike that of any other process that ever was. */
  readonly holder: string;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** One replica's view of a lease: call {@link LeaseKeeper.renew} every LEASE_RENEW_MS. */
export class LeaseKeeper {
  readonly #options: LeaseOptions;
  #held: { readonly epoch: number; readonly untilMs: number } | undefined;

  constructor(options: LeaseOptions) {
    assert(options.holder.length > 0, 'a lease is held by somebody');
    this.#options = options;
  }

  /** Takes or prolongs it. Rejects with what the database says; what was held goes on until its time ends. */
  async renew(): Promise<void> {
    const { store, name, holder, nowMs } = this.#options;
    // Counted from before the question, so that this replica never believes longer than the database does.
    const askedMs = nowMs();
    const epoch = await store.take(name, holder, LEASE_TTL_MS);
    this.#held = epoch === undefined ? undefined : { epoch, untilMs: askedMs + LEASE_TTL_MS };
  }

  /** Under which epoch this replica may act now; undefined when it may not. */
  get epoch(): number | undefined {
    const held = this.#held;
    return held !== undefined && this.#options.nowMs() < held.untilMs ? held.epoch : undefined;
  }

  /** For a replica that stops: another may follow at once. */
  async release(): Promise<void> {
    const { store, name, holder } = this.#options;
    this.#held = undefined;
    await store.release(name, holder);
  }
}
