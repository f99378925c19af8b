import { MAX_DATA_BYTES } from '#mesh/mux/frame.ts';

/** Always allowed in flight: a short path needs no more, and a new one has nothing measured. */
const LEAST_IN_FLIGHT_BYTES = 65_536;
/** Standing queue that a saturated path may have beyond its bandwidth-delay product. */
const QUEUE_MS = 50;
const QUEUE_BYTES = 2 * 1024 * 1024;
/** Rates are taken over at least this long, so that a burst that a token bucket lets through is not a rate. */
const LEAST_SAMPLE_MS = 50;
/** One turn of a stream is an eighth of the cap, so that the cap is not overshot by much on a slow path. */
const TURNS_IN_CAP = 8;
const LEAST_TURN_BYTES = 4_096;
const RATE_BUCKETS = 10;
const RATE_BUCKET_MS = 1_000;
/** Outstanding pings: eight cover the cap, the rest is room for the second-by-second ones. */
const MAX_OUTSTANDING = 64;

interface OutstandingPing {
  readonly id: number;
  readonly sentAtMs: number;
  readonly sentBytes: number;
  /** Whose PING it is, if somebody asked for it. */
  readonly token: number | undefined;
}

/** What a PONG tells. */
export interface Answer {
  readonly rttMs: number;
  readonly token: number | undefined;
}

/**
 * How many bytes may be under way in one tunnel. PINGs mark positions in the byte stream; a PONG says that all before
 * its PING was parsed. From that come the round trip, the delivery rate, and the cap: max(64 KiB, highest rate of the
 * last 10 s × least round trip + min(50 ms × rate, 2 MiB)), so that a control frame or a small write never waits long
 * behind bulk. The model is BBR's (Cardwell et al., 2016), without its pacing.
 */
export class InFlight {
  #sentBytes = 0;
  #deliveredBytes = 0;
  #pingedBytes = 0;
  #nextPingId = 1;
  #outstanding: OutstandingPing[] = [];
  #leastRttMs = Number.POSITIVE_INFINITY;
  #smoothedRttMs = 0;
  #lastPongMs = Number.NEGATIVE_INFINITY;
  #answeredMs = Number.NEGATIVE_INFINITY;
  #sampleStartMs = 0;
  #sampleStartBytes = 0;
  #buckets = new Float64Array(RATE_BUCKETS);
  #bucketIndex = 0;
  #capBytes = LEAST_IN_FLIGHT_BYTES;

  /** How much one stream may send before another has its turn. */
  get turnBytes(): number {
    return Math.min(MAX_DATA_BYTES, Math.max(LEAST_TURN_BYTES, Math.floor(this.#capBytes / TURNS_IN_CAP)));
  }

  /** Latest smoothed round trip in milliseconds; 0 before the first. */
  get smoothedRttMs(): number {
    return this.#smoothedRttMs;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** When the oldest unanswered PING was sent. */
  get oldestPingMs(): number | undefined {
    return this.#outstanding[0]?.sentAtMs;
  }

  /** When the latest PING was sent that has been answered: what was queued before has arrived. */
  get answeredMs(): number {
    return this.#answeredMs;
  }

  get mayPing(): boolean {
    return this.#outstanding.length < MAX_OUTSTANDING;
  }

  get isFull(): boolean {
    return this.#sentBytes - this.#deliveredBytes >= this.#capBytes;
  }

  handleSent(bytes: number): void {
    this.#sentBytes += bytes;
  }

  /** True when enough was sent since the last PING that another is due to keep the acknowledgements flowing. */
  wantsPing(): boolean {
    return this.#sentBytes - this.#pingedBytes >= Math.max(16_384, this.#capBytes / 8) && this.mayPing;
  }

  /** Notes a PING sent now, after all bytes so far; returns its id. */
  handlePing(nowMs: number, token?: number): number {
    const id = this.#nextPingId++;
    if (this.#outstanding.length === 0 && nowMs - this.#lastPongMs > LEAST_SAMPLE_MS) this.#restartSample(nowMs);
    this.#outstanding.push({ id, sentAtMs: nowMs, sentBytes: this.#sentBytes, token });
    this.#pingedBytes = this.#sentBytes;
    return id;
  }

  /** Tokens of PINGs that were not answered yet. */
  tokens(): readonly number[] {
    return this.#outstanding.flatMap(({ token }) => token ?? []);
  }

  /** Takes an answer; undefined when no such PING is outstanding. */
  handlePong(id: number, nowMs: number): Answer | undefined {
    const ping = this.#outstanding[0];
    if (ping === undefined || ping.id !== id) return undefined;
    this.#outstanding.shift();
    this.#lastPongMs = nowMs;
    this.#answeredMs = ping.sentAtMs;
    const rttMs = Math.max(0.001, nowMs - ping.sentAtMs);
    this.#deliveredBytes = ping.sentBytes;
    this.#leastRttMs = Math.min(this.#leastRttMs, rttMs);
    this.#smoothedRttMs = this.#smoothedRttMs === 0 ? rttMs : this.#smoothedRttMs * 0.875 + rttMs * 0.125;
    this.#sampleRate(nowMs);
    return { rttMs, token: ping.token };
  }

  #restartSample(nowMs: number): void {
    this.#sampleStartMs = nowMs;
    this.#sampleStartBytes = this.#deliveredBytes;
  }

  #sampleRate(nowMs: number): void {
    const elapsedMs = nowMs - this.#sampleStartMs;
    if (elapsedMs < Math.max(LEAST_SAMPLE_MS, this.#leastRttMs)) return;
    const bytesPerMs = (this.#deliveredBytes - this.#sampleStartBytes) / elapsedMs;
    this.#restartSample(nowMs);
    this.#recordRate(bytesPerMs, nowMs);
    const highest = this.#buckets.reduce((a, b) => Math.max(a, b), 0);
    const queueBytes = Math.min(QUEUE_MS * highest, QUEUE_BYTES);
    this.#capBytes = Math.max(LEAST_IN_FLIGHT_BYTES, highest * this.#leastRttMs + queueBytes);
  }

  #recordRate(bytesPerMs: number, nowMs: number): void {
    const index = Math.floor(nowMs / RATE_BUCKET_MS);
    const passed = Math.min(RATE_BUCKETS, index - this.#bucketIndex);
    for (let i = 1; i <= passed; i++) this.#buckets[(this.#bucketIndex + i) % RATE_BUCKETS] = 0;
    if (passed > 0) this.#bucketIndex = index;
    const slot = index % RATE_BUCKETS;
    this.#buckets[slot] = Math.max(this.#buckets[slot] ?? 0, bytesPerMs);
  }
}
