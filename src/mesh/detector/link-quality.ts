/** What one link's probes say about it. */
export interface LinkMeasurement {
  /** Smoothed round trip between the two detectors, milliseconds. */
  readonly rttMs: number;
  /** Smoothed difference of consecutive round trips (RFC 3550 §6.4.1), milliseconds. */
  readonly jitterMs: number;
  /** Share of probes lost on a way there and back, 0 to 1. */
  readonly lossRatio: number;
}

const RTT_GAIN = 1 / 8;
const JITTER_GAIN = 1 / 16;
/** Loss is judged over about this many probes. */
const LOSS_WINDOW = 64;
const WRAP_US = 2 ** 32;
/** A round trip beyond this is a peer's nonsense, or a probe older than any that is still accepted. */
const MOST_RTT_US = 10_000_000;

/** Round trip, jitter and loss of one link, from what its probes carry. */
export class LinkQuality {
  #rttMs = 0;
  #jitterMs = 0;
  #lastMs: number | undefined;
  #expected = 0;
  #received = 0;
  #peerLossRatio = 0;

  /** Undefined before the first round trip. */
  get measurement(): LinkMeasurement | undefined {
    if (this.#lastMs === undefined) return undefined;
    const lossRatio = 1 - (1 - this.lossRatio) * (1 - this.#peerLossRatio);
    return { rttMs: this.#rttMs, jitterMs: this.#jitterMs, lossRatio };
  }

  /** Share of the peer's probes that did not come. */
  get lossRatio(): number {
    return this.#expected === 0 ? 0 : Math.max(0, 1 - this.#received / this.#expected);
  }

  /** A probe came whose sequence is `step` above the one before. */
  handleArrival(step: number, peerLossRatio: number): void {
    const keep = (1 - 1 / LOSS_WINDOW) ** Math.min(step, LOSS_WINDOW);
    this.#expected = this.#expected * keep + Math.min(step, LOSS_WINDOW);
    this.#received = this.#received * keep + 1;
    this.#peerLossRatio = peerLossRatio;
  }

  /** All three in microseconds: now and then by the own clock, and how long the peer held it. */
  handleEcho(nowUs: number, echoUs: number, heldUs: number): void {
    const totalUs = (nowUs - echoUs + WRAP_US) % WRAP_US;
    if (totalUs > MOST_RTT_US + heldUs) return;
    const sampleMs = Math.max(0, totalUs - heldUs) / 1000;
    if (this.#lastMs === undefined) this.#rttMs = sampleMs;
    else {
      this.#rttMs += (sampleMs - this.#rttMs) * RTT_GAIN;
      this.#jitterMs += (Math.abs(sampleMs - this.#lastMs) - this.#jitterMs) * JITTER_GAIN;
    }
    this.#lastMs = sampleMs;
  }
}

/** A monotonic time as probes carry it. */
export function toProbeUs(nowMs: number): number {
  return Math.floor(nowMs * 1000) % WRAP_US;
}
