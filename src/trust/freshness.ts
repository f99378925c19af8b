/** How long a node works on with what it was told last: as long as its SVID lives at least when it is renewed in time. */
export const STALE_AFTER_DEFAULT_MS = 12 * 60 * 60 * 1000;

/**
 * How old the believed snapshot is. By whichever clock says more: one that was set back makes nothing younger, and one that stood still
 * while the machine slept does not either.
 */
export class Freshness {
  readonly #limitMs: number;
  #issuedAtMs: number | undefined;
  #ageThenMs = 0;
  #heardMs = 0;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** A snapshot is believed; `issuedAtMs` and `wallMs` are Unix milliseconds, `nowMs` monotonic. */
  handleBelieved(issuedAtMs: number, nowMs: number, wallMs: number): void {
    this.#issuedAtMs = issuedAtMs;
    this.#ageThenMs = Math.max(0, wallMs - issuedAtMs);
    this.#heardMs = nowMs;
  }

  /** Milliseconds; undefined before the first snapshot. */
  ageMs(nowMs: number, wallMs: number): number | undefined {
    if (this.#issuedAtMs === undefined) return undefined;
    return Math.max(wallMs - this.#issuedAtMs, this.#ageThenMs + nowMs - this.#heardMs);
  }

  /** Also before the first snapshot: nothing vouches for anything. */
  isStale(nowMs: number, wallMs: number): boolean {
    return (this.ageMs(nowMs, wallMs) ?? Number.POSITIVE_INFINITY) > this.#limitMs;
  }
}
