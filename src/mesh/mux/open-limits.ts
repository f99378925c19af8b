import { TokenBucket } from '#kernel/bounded.ts';

/** How many streams a peer may have open, and how fast it may open them: a burst of as many as it may have, then a rate. */
export class OpenLimits {
  readonly #maxStreams: number;
  readonly #rate: TokenBucket;
  #streams = 0;

  constructor(maxStreams: number, opensPerSecond: number, nowMs: number) {
    this.#maxStreams = maxStreams;
    this.#rate = new TokenBucket(maxStreams, opensPerSecond, nowMs);
  }

  /** Why one more is refused, or undefined; what is not refused has spent its token. */
  refusal(nowMs: number): 'STREAM_CAP' | 'OPEN_RATE' | undefined {
    if (this.#streams >= this.#maxStreams) return 'STREAM_CAP';
    return this.#rate.take(nowMs) ? undefined : 'OPEN_RATE';
  }

  handleOpened(): void {
    this.#streams++;
  }

  handleEnded(): void {
    this.#streams--;
  }
}
