import type { RandomSource } from '#kernel/random.ts';
import { mixFamilies } from '#mesh/membership/addresses.ts';

/** The first retry comes within this, so that the order in which nodes start does not matter. */
const FIRST_RETRY_MS = 250;
/** A peer that is away is asked for ever, at least this often. */
const MAX_RETRY_MS = 30_000;
/** Less would be a loop. */
const MIN_RETRY_MS = 20;
/** A link that lasted this long ends its peer's record of failures. */
const STABLE_MS = 5000;
/** The side that need not dial does so after this: the other may not be able to reach it. */
const FALLBACK_MS = 1000;
/** A driver that never answers has failed; its own time-outs are shorter. */
const DIAL_TIMEOUT_MS = 30_000;
/** Not up for this long since it was wanted or lost: others are looked for. */
const FAILING_MS = 2000;

/** Which side of a link dials: `first` at once, `fallback` a little later, `never` where there is no address. */
export type DialRole = 'first' | 'fallback' | 'never';

/** The link to one peer: up, being dialled, or waiting for the next attempt. Back-off is exponential with full jitter. */
export class Dialler {
  readonly #random: RandomSource;
  #addresses: readonly string[] = [];
  #role: DialRole = 'never';
  #state: 'up' | 'dialling' | 'waiting' = 'waiting';
  /** Since the last stable link. */
  #attempts = 0;
  #dueMs: number;
  #changedMs: number;
  /** Whether this side made the link that is up. */
  dialled = false;
  /** Whether the driver was already told to close what is there. */
  closing = false;

  constructor(random: RandomSource, nowMs: number) {
    this.#random = random;
    this.#dueMs = nowMs;
    this.#changedMs = nowMs;
  }

  get state(): 'up' | 'dialling' | 'waiting' | 'expected' {
    return this.#state === 'waiting' && this.#role !== 'first' && this.#attempts === 0 ? 'expected' : this.#state;
  }

  get failures(): number {
    return this.#attempts;
  }

  /** Where and whether to dial; new addresses are tried at once. */
  handlePlan(addresses: readonly string[], role: DialRole, nowMs: number): void {
    if (role === this.#role && addresses.join() === this.#addresses.join()) return;
    this.#addresses = addresses;
    this.#role = role;
    this.#attempts = 0;
    if (this.#state === 'waiting') this.#dueMs = nowMs + (role === 'fallback' ? FALLBACK_MS : 0);
  }

  handleUp(nowMs: number): void {
    this.dialled = this.#state === 'dialling' || (this.#state === 'up' && this.dialled);
    if (this.#state !== 'up') this.#changedMs = nowMs;
    this.#state = 'up';
    this.closing = false;
  }

  handleDown(nowMs: number): void {
    if (this.#state !== 'up') return;
    this.#attempts = nowMs - this.#changedMs >= STABLE_MS ? 0 : this.#attempts + 1;
    this.#changedMs = nowMs;
    this.#retry(nowMs);
  }

  handleFailed(nowMs: number): void {
    if (this.#state !== 'dialling') return;
    this.#attempts++;
    this.#retry(nowMs);
  }

  isFailing(nowMs: number): boolean {
    return this.#state !== 'up' && nowMs >= this.#changedMs + FAILING_MS;
  }

  isDue(nowMs: number): boolean {
    return this.#state === 'waiting' && this.#role !== 'never' && nowMs >= this.#dueMs;
  }

  isOverdue(nowMs: number): boolean {
    return this.#state === 'dialling' && nowMs >= this.#dueMs;
  }

  /** The address to dial now. */
  dial(nowMs: number): string | undefined {
    const order = mixFamilies(this.#addresses);
    const address = order[this.#attempts % Math.max(1, order.length)];
    if (address === undefined) return undefined;
    this.#state = 'dialling';
    this.#dueMs = nowMs + DIAL_TIMEOUT_MS;
    return address;
  }

  /** The next time at which asking this dialler, or choosing among peers, may give something else. */
  deadlineMs(nowMs: number): number {
    const failingMs = this.#state === 'up' || this.isFailing(nowMs) ? Infinity : this.#changedMs + FAILING_MS;
    const dueMs = this.#state === 'up' || this.#role === 'never' ? Infinity : this.#dueMs;
    return Math.min(failingMs, dueMs);
  }

  #retry(nowMs: number): void {
    this.#state = 'waiting';
    const rounds = Math.floor(this.#attempts / Math.max(1, this.#addresses.length));
    const amongAddresses = this.#attempts % Math.max(1, this.#addresses.length) !== 0;
    const capMs = amongAddresses
      ? FIRST_RETRY_MS
      : Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.max(0, rounds - 1));
    const delayMs = Math.max(MIN_RETRY_MS, this.#random.fraction() * capMs);
    this.#dueMs = nowMs + delayMs + (this.#role === 'fallback' && this.#attempts === 0 ? FALLBACK_MS : 0);
  }
}
