import { LinkQuality, type LinkMeasurement, toProbeUs } from '#mesh/detector/link-quality.ts';
import { Diagnostic, type Probe, ProbeState } from '#mesh/detector/probe.ts';

/*
 * The detector's session on one link, after RFC 5880 §6.2.
 *
 * It begins down, is init when the peer's probes come, up when the peer says that it gets ours, and established when the
 * peer is up too. Until then silence leads back to down, and the link is watched in band only: UDP may be blocked. An
 * established session ends by silence of the detection time, or by the peer's word that it is down, so that a loss in one
 * direction ends both sides. The end is final: the link's connection is destroyed, and the next one has a session of its
 * own. An ended session says so a few times and is then forgotten.
 */

/** Secrets and names of one link, from its TLS exporter. */
export interface SessionKeys {
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  /** Names the link in what this side sends. */
  readonly sendDiscriminator: bigint;
  /** Names the link in what this side receives. */
  readonly receiveDiscriminator: bigint;
}

/** How fast a detector is: it gives up after `multiplier` intervals of silence. */
export interface DetectorProfile {
  readonly intervalMs: number;
  readonly multiplier: number;
}

/** A session that goes on after its detector was lost and another took over. */
export interface SessionResume {
  /** Above every sequence that was sent. */
  readonly firstSequence: bigint;
  /** What had been received, as far as is known. */
  readonly highest: bigint;
}

export type SessionEnd = 'expired' | 'neighbour-down' | 'neighbour-hung';

/** While nothing is heard probes are sparse: UDP may be blocked here for good. */
const SEEKING_INTERVAL_MS = 1_000;
/** Before it is established, a session that hears nothing for this long begins again. */
const SEEKING_PATIENCE_MS = 3 * SEEKING_INTERVAL_MS;
/** At first it is sought with the profile's interval: the peer's side of the link may be a moment later. */
const SEEKING_FAST = 10;
/** Times that an ended session says so. */
const FAREWELLS = 3;
/** Slower, and silence would be noticed later than in band. */
const MOST_INTERVAL_MS = 1_000;
/** Share of the interval by which a probe may come earlier (RFC 5880 §6.8.7), so that links do not fall into step. */
const EARLY_SHARE = 0.25;
/** Being let run this share of an interval late is usual. */
const USUAL_LATE_SHARE = 0.5;
/** Patience with a starved side ends here: a real failure is still noticed in less than 600 ms. */
const MOST_SLACK_INTERVALS = 2;

/** One link's session. The {@link Detector} authenticates what it is given. */
export class DetectorSession<Address> {
  readonly keys: SessionKeys;
  readonly #quality = new LinkQuality();
  readonly #profile: DetectorProfile;
  readonly #fraction: () => number;
  readonly #lateMs: () => number;
  #state: ProbeState;
  #end: SessionEnd | undefined;
  #diagnostic: Diagnostic = Diagnostic.none;
  /** Where probes go; an acceptor learns it from the first that it gets. */
  #to: Address | undefined;
  readonly #isPinned: boolean;
  #sequence: bigint;
  #highest: bigint;
  #peerIntervalMs = 0;
  #peerLateMs = 0;
  #echoUs = 0;
  #heardMs: number;
  #expiresMs = Number.POSITIVE_INFINITY;
  #nextSendMs: number;
  #sentSeeking = 0;
  #farewells = 0;
  /** Whether the peer was up once while this side was. */
  #isEstablished = false;

  constructor(
    options: {
      readonly keys: SessionKeys;
      readonly profile: DetectorProfile;
      /** Where the peer is reached; undefined: where its first probe comes from. */
      readonly to: Address | undefined;
      readonly resume?: SessionResume | undefined;
      readonly fraction: () => number;
      /** How late this side was let run lately, milliseconds. */
      readonly lateMs: () => number;
    },
    nowMs: number,
  ) {
    this.keys = options.keys;
    this.#profile = options.profile;
    this.#fraction = options.fraction;
    this.#lateMs = options.lateMs;
    this.#to = options.to;
    this.#isPinned = options.to !== undefined;
    // In init a peer that is up stays up (RFC 5880 §6.2).
    this.#state = options.resume === undefined ? ProbeState.down : ProbeState.init;
    this.#sequence = (options.resume?.firstSequence ?? 1n) - 1n;
    this.#highest = options.resume?.highest ?? 0n;
    this.#heardMs = nowMs;
    this.#nextSendMs = nowMs;
  }

  /** Whether silence ends the link. */
  get isUp(): boolean {
    return this.#isEstablished && this.#end === undefined;
  }

  /** Why it ended; undefined while it lives. */
  get end(): SessionEnd | undefined {
    return this.#end;
  }

  get isForgettable(): boolean {
    return this.#farewells >= FAREWELLS;
  }

  get highest(): bigint {
    return this.#highest;
  }

  get to(): Address | undefined {
    return this.#to;
  }

  get measurement(): LinkMeasurement | undefined {
    return this.#quality.measurement;
  }

  /** The slower side sets the pace. */
  get intervalMs(): number {
    return Math.min(MOST_INTERVAL_MS, Math.max(this.#profile.intervalMs, this.#peerIntervalMs));
  }

  /** Longer where either side is starved of processor: its probes come late, and it is no failure. */
  get detectionMs(): number {
    const { intervalMs } = this;
    const lateMs = Math.max(this.#lateMs(), this.#peerLateMs) - intervalMs * USUAL_LATE_SHARE;
    return intervalMs * this.#profile.multiplier + Math.min(Math.max(0, lateMs), intervalMs * MOST_SLACK_INTERVALS);
  }

  /** Whether a sequence is above all that came: neither replayed nor overtaken. */
  isFresh(sequence: bigint): boolean {
    return sequence > this.#highest;
  }

  /** A probe whose tag was right and whose sequence is fresh. */
  handleProbe(probe: Probe, from: Address, nowMs: number): void {
    const isFirst = this.#highest === 0n;
    this.#quality.handleArrival(isFirst ? 1 : Number(probe.sequence - this.#highest), probe.lossRatio);
    this.#highest = probe.sequence;
    this.#echoUs = probe.sentUs;
    this.#heardMs = nowMs;
    if (!this.#isPinned) this.#to = from;
    this.#peerIntervalMs = probe.intervalMs;
    this.#peerLateMs = probe.lateMs;
    if (probe.highest !== 0n) this.#quality.handleEcho(toProbeUs(nowMs), probe.echoUs, probe.heldUs);
    if (this.#end === undefined) this.#handleState(probe, nowMs);
  }

  /** The link delivered something at that time, in whatever way. */
  handleLife(lifeMs: number): void {
    this.handleStretch(lifeMs + this.detectionMs);
  }

  /** Silence is not judged before that time: this side was not there to hear. */
  handleStretch(untilMs: number): void {
    if (this.isUp) this.#expiresMs = Math.max(this.#expiresMs, untilMs);
  }

  /** Ends the session when the peer was silent for too long. */
  handleExpiry(nowMs: number): void {
    if (nowMs >= this.#expiresMs) this.#leave('expired', Diagnostic.expired, nowMs);
  }

  /** Monotonic milliseconds at which silence is judged; infinite while there is nothing to lose. */
  get expiresMs(): number {
    return this.#expiresMs;
  }

  deadlineMs(): number {
    return Math.min(this.#expiresMs, this.#to === undefined ? Number.POSITIVE_INFINITY : this.#nextSendMs);
  }

  /** The probe that is due, if one is. `isVouching`: whether the process behind this detector is known to be well. */
  nextProbe(nowMs: number, isVouching: boolean): Probe | undefined {
    if (this.#to === undefined || nowMs < this.#nextSendMs || this.isForgettable) return undefined;
    this.#sequence++;
    this.#pace(nowMs);
    return {
      state: isVouching ? this.#state : ProbeState.down,
      diagnostic: isVouching ? this.#diagnostic : Diagnostic.hung,
      lateMs: this.#lateMs(),
      intervalMs: this.#profile.intervalMs,
      lossRatio: this.#quality.lossRatio,
      discriminator: this.keys.sendDiscriminator,
      sequence: this.#sequence,
      highest: this.#highest,
      sentUs: toProbeUs(nowMs),
      echoUs: this.#echoUs,
      heldUs: toProbeUs(nowMs - this.#heardMs),
    };
  }

  #pace(nowMs: number): void {
    if (this.#end !== undefined) this.#farewells++;
    const isSeeking = this.#state !== ProbeState.up && this.#end === undefined;
    if (isSeeking) this.#sentSeeking++;
    const isSlow = isSeeking && this.#sentSeeking > SEEKING_FAST;
    const intervalMs = isSlow ? Math.max(SEEKING_INTERVAL_MS, this.intervalMs) : this.intervalMs;
    this.#nextSendMs = nowMs + intervalMs * (1 - EARLY_SHARE * this.#fraction());
  }

  #handleState(probe: Probe, nowMs: number): void {
    const before = this.#state;
    if (before === ProbeState.up && probe.state === ProbeState.down) {
      const isHung = probe.diagnostic === Diagnostic.hung;
      return this.#leave(isHung ? 'neighbour-hung' : 'neighbour-down', Diagnostic.neighbourDown, nowMs);
    }
    this.#state = nextState(before, probe.state);
    if (this.#state === ProbeState.up && probe.state === ProbeState.up) this.#isEstablished = true;
    if (this.isUp) this.#expiresMs = nowMs + this.detectionMs;
    else if (this.#state !== ProbeState.down) this.#expiresMs = nowMs + SEEKING_PATIENCE_MS;
    // The peer need not wait an interval to learn of it.
    if (before !== this.#state) this.#nextSendMs = nowMs;
  }

  #leave(end: SessionEnd, diagnostic: Diagnostic, nowMs: number): void {
    if (this.#isEstablished) this.#end = end;
    this.#state = ProbeState.down;
    this.#diagnostic = diagnostic;
    this.#expiresMs = Number.POSITIVE_INFINITY;
    this.#nextSendMs = nowMs;
  }
}

/** RFC 5880 §6.8.6, without the ways out of up. */
function nextState(own: ProbeState, peer: ProbeState): ProbeState {
  if (own === ProbeState.up) return own;
  if (own === ProbeState.down && peer === ProbeState.down) return ProbeState.init;
  if (own === ProbeState.down && peer === ProbeState.up) return own;
  return peer === ProbeState.down ? own : ProbeState.up;
}
