import type { InFlight } from '#mesh/mux/in-flight.ts';

/** How closely a tunnel is watched in band. */
export interface Liveness {
  /** A PING goes this often. */
  readonly intervalMs: number;
  /** Unanswered for this long, or four round trips if that is longer, the tunnel is dead. */
  readonly patienceMs: number;
  /** Anything that arrives meanwhile counts as an answer. */
  readonly takesProgress: boolean;
}

/** A link without another detector, and a tunnel that nobody uses. */
export const PATIENT: Liveness = { intervalMs: 1_000, patienceMs: 3_000, takesProgress: true };

/** Without an answer for this long a tunnel is dead, whatever else arrives. */
const LONGEST_SILENCE_MS = 10_000;
/** Deadlines that come this much later than asked for are this process's own delay, and nobody else's silence. */
const OWN_DELAY_MS = 200;
/** A path under load answers later than an idle one. */
const PATIENT_ROUND_TRIPS = 4;

/** Judges from unanswered PINGs whether a tunnel's peer is silent. */
export class SilenceWatch {
  liveness: Liveness = PATIENT;
  readonly #inFlight: InFlight;
  #askedMs = Number.POSITIVE_INFINITY;
  /** Until then silence is not judged. */
  #graceMs = 0;

  constructor(inFlight: InFlight) {
    this.#inFlight = inFlight;
  }

  /** When something is to be done: the next PING, or giving up. */
  deadlineMs(lastPingMs: number, lastReceivedMs: number): number {
    const nextMs = Math.min(lastPingMs + this.liveness.intervalMs, this.#silentMs(lastReceivedMs));
    this.#askedMs = Math.min(this.#askedMs, nextMs);
    return nextMs;
  }

  /** Whether the peer is silent. A process that was itself not running judges nobody (Lifeguard: Dadgar, Phillips and Currey, 2018). */
  isSilent(lastReceivedMs: number, nowMs: number): boolean {
    if (nowMs - this.#askedMs > OWN_DELAY_MS) this.#graceMs = nowMs + this.liveness.patienceMs;
    this.#askedMs = Number.POSITIVE_INFINITY;
    return nowMs >= this.#silentMs(lastReceivedMs);
  }

  #silentMs(lastReceivedMs: number): number {
    const oldestPingMs = this.#inFlight.oldestPingMs;
    if (oldestPingMs === undefined) return Number.POSITIVE_INFINITY;
    const patienceMs = Math.max(this.liveness.patienceMs, PATIENT_ROUND_TRIPS * this.#inFlight.smoothedRttMs);
    const lastSignMs = this.liveness.takesProgress ? Math.max(oldestPingMs, lastReceivedMs) : oldestPingMs;
    return Math.max(this.#graceMs, Math.min(lastSignMs + patienceMs, oldestPingMs + LONGEST_SILENCE_MS));
  }
}
