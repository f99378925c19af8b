import { Counters } from '#kernel/counters.ts';
import { EventQueue } from '#kernel/event-queue.ts';
import type { LinkMeasurement } from '#mesh/detector/link-quality.ts';
import {
  decodeProbe,
  encodeProbe,
  PROBE_BYTES,
  type ProbeRefusal,
  readDiscriminator,
  SIGNED_BYTES,
} from '#mesh/detector/probe.ts';
import {
  type DetectorProfile,
  DetectorSession,
  type SessionEnd,
  type SessionKeys,
  type SessionResume,
} from '#mesh/detector/session.ts';

/** What the detector cannot do itself. */
export interface DetectorPorts {
  /** The tag of these bytes under this key. */
  sign(key: Uint8Array, bytes: Uint8Array): Uint8Array;
  /** Whether it is their tag, in constant time. */
  verify(key: Uint8Array, bytes: Uint8Array, tag: Uint8Array): boolean;
  /** Uniform in [0, 1). */
  fraction(): number;
}

/** A link to watch. */
export interface WatchedLink<Address> {
  readonly id: number;
  readonly keys: SessionKeys;
  /** Where the peer is reached; undefined: where its first probe comes from. */
  readonly to: Address | undefined;
  readonly resume?: SessionResume | undefined;
}

/** `send`: give these bytes to UDP. `up`: silence ends the link from now on. `down`: destroy it. */
export type DetectorOutput<Address> =
  | { readonly kind: 'send'; readonly to: Address; readonly bytes: Uint8Array }
  | { readonly kind: 'up'; readonly link: number }
  | { readonly kind: 'down'; readonly link: number; readonly reason: SessionEnd }
  | {
      readonly kind: 'measure';
      readonly link: number;
      readonly measurement: LinkMeasurement;
      /** The highest sequence received, for {@link SessionResume}. */
      readonly highest: bigint;
    };

/** Why bytes that came by UDP had no effect. */
export type ProbeRefused = ProbeRefusal | 'discriminator' | 'forged' | 'malformed' | 'stale';

/** Measurements of every link are told this often. */
const MEASURE_INTERVAL_MS = 1_000;
/** Having been let run late is forgotten by half in this time. */
const LATE_HALF_LIFE_MS = 5_000;
/** More than this many intervals is no starvation but a process that was stopped: it says nothing about the time after. */
const MOST_LATE_INTERVALS = 1.5;
/** So much that had no effect within an interval is a flood: what it displaces from the system's buffers is no silence. */
const FLOOD_PROBES = 500;
/** Links of one node: as many as a report of it can name, and those that are being replaced. */
export const MAX_WATCHED = 2_048;

/**
 * The failure detector of one node: a session a link. The driver gives it what UDP brought and the time, sends what it
 * says, and destroys the links that it calls down.
 */
export class Detector<Address> {
  readonly counters = new Counters();
  readonly #ports: DetectorPorts;
  readonly #profile: DetectorProfile;
  readonly #sessions = new Map<number, DetectorSession<Address>>();
  readonly #byDiscriminator = new Map<bigint, number>();
  readonly #outputs = new EventQueue<DetectorOutput<Address>>();
  #isVouching = true;
  #measureMs: number;
  #lateMs = 0;
  #lateAtMs: number;
  #nextMs = Number.POSITIVE_INFINITY;
  /** Bytes without effect since then. */
  #refused = 0;
  #refusedSinceMs: number;

  constructor(ports: DetectorPorts, profile: DetectorProfile, nowMs: number) {
    this.#ports = ports;
    this.#profile = profile;
    this.#measureMs = nowMs + MEASURE_INTERVAL_MS;
    this.#lateAtMs = nowMs;
    this.#refusedSinceMs = nowMs;
  }

  /** Begins to watch a link. False when there are too many, or one of that name: it stays unwatched. */
  watch(link: WatchedLink<Address>, nowMs: number): boolean {
    const { receiveDiscriminator } = link.keys;
    const isTaken = this.#sessions.has(link.id) || this.#byDiscriminator.has(receiveDiscriminator);
    if (isTaken || this.#sessions.size >= MAX_WATCHED) {
      this.counters.add('detector-unwatched');
      return false;
    }
    const fraction = (): number => this.#ports.fraction();
    const lateMs = (): number => this.#lateMs;
    this.#sessions.set(link.id, new DetectorSession({ ...link, profile: this.#profile, fraction, lateMs }, nowMs));
    this.#byDiscriminator.set(receiveDiscriminator, link.id);
    this.#nextMs = Math.min(this.#nextMs, this.#measureMs, nowMs);
    return true;
  }

  /** The link's connection has ended. A session that ended first still says so to its peer. */
  unwatch(link: number): void {
    const session = this.#sessions.get(link);
    if (session !== undefined && session.end === undefined) this.#forget(link, session);
  }

  /** Bytes that UDP brought from anywhere. */
  handleProbe(bytes: Uint8Array, from: Address, nowMs: number): void {
    const refused = this.#judge(bytes, from, nowMs);
    if (refused === undefined) return;
    this.counters.add(`probe-refused-${refused}`);
    this.#refused++;
  }

  /** Something came over the link itself at that time. */
  handleLife(link: number, lifeMs: number): void {
    this.#sessions.get(link)?.handleLife(lifeMs);
  }

  /** Whether the process whose links these are still does its work. */
  handleVouching(isVouching: boolean, nowMs: number): void {
    if (isVouching === this.#isVouching) return;
    this.#isVouching = isVouching;
    this.counters.add(isVouching ? 'detector-vouches' : 'detector-hung');
    this.#nextMs = Math.min(this.#nextMs, nowMs);
  }

  /**
   * Time has come to `nowMs`. `lateMs`: how much later than asked the caller was let run. One that was away for more than
   * an interval hears again for as long before it judges silence (Lifeguard's local health).
   */
  handleDeadline(nowMs: number, lateMs = 0): void {
    const starvedMs = Math.min(lateMs, this.#profile.intervalMs * MOST_LATE_INTERVALS);
    this.#lateMs = Math.max(starvedMs, this.#lateMs * 0.5 ** ((nowMs - this.#lateAtMs) / LATE_HALF_LIFE_MS));
    this.#lateAtMs = nowMs;
    if (lateMs > this.#profile.intervalMs) {
      this.counters.add('detector-late');
      this.#stretch(nowMs, lateMs);
    }
    this.#judgeFlood(nowMs);
    for (const [link, session] of this.#sessions) {
      const wasUp = session.isUp;
      session.handleExpiry(nowMs);
      if (wasUp) this.#tellEnd(link, session);
    }
    if (nowMs >= this.#measureMs) this.#measure(nowMs);
    this.#nextMs = Number.POSITIVE_INFINITY;
    for (const [link, session] of this.#sessions) this.#transmit(link, session, nowMs);
    if (this.#sessions.size > 0) this.#nextMs = Math.min(this.#nextMs, this.#measureMs);
  }

  /** Silence is not judged for so long, at most three intervals. */
  #stretch(nowMs: number, forMs: number): void {
    const stretchMs = Math.min(forMs, this.#profile.intervalMs * this.#profile.multiplier);
    for (const session of this.#sessions.values()) session.handleStretch(nowMs + stretchMs);
  }

  #judgeFlood(nowMs: number): void {
    const isFlood = this.#refused >= FLOOD_PROBES;
    if (!isFlood && nowMs - this.#refusedSinceMs < this.#profile.intervalMs) return;
    this.#refused = 0;
    this.#refusedSinceMs = nowMs;
    if (!isFlood) return;
    this.counters.add('detector-flooded');
    this.#stretch(nowMs, Number.POSITIVE_INFINITY);
  }

  /** The links whose silence is due to be judged: what is known of their life should be told first. */
  *due(nowMs: number): Generator<number> {
    for (const [link, session] of this.#sessions) if (nowMs >= session.expiresMs) yield link;
  }

  /** Monotonic milliseconds; infinite while no link is watched. */
  deadlineMs(): number {
    return this.#nextMs;
  }

  poll(): DetectorOutput<Address> | undefined {
    return this.#outputs.poll();
  }

  #judge(bytes: Uint8Array, from: Address, nowMs: number): ProbeRefused | undefined {
    const discriminator = readDiscriminator(bytes);
    if (!discriminator.ok) return discriminator.error;
    const link = this.#byDiscriminator.get(discriminator.value);
    const session = link === undefined ? undefined : this.#sessions.get(link);
    if (link === undefined || session === undefined) return 'discriminator';
    const probe = decodeProbe(bytes);
    if (probe !== undefined && !session.isFresh(probe.sequence)) return 'stale';
    const signed = bytes.subarray(0, SIGNED_BYTES);
    if (!this.#ports.verify(session.keys.receiveKey, signed, bytes.subarray(SIGNED_BYTES))) return 'forged';
    if (probe === undefined) return 'malformed';
    const wasUp = session.isUp;
    session.handleProbe(probe, from, nowMs);
    if (wasUp) this.#tellEnd(link, session);
    else if (session.isUp) {
      this.counters.add('detector-up');
      this.#outputs.push({ kind: 'up', link });
    }
    this.#transmit(link, session, nowMs);
    return undefined;
  }

  #tellEnd(link: number, session: DetectorSession<Address>): void {
    if (session.end === undefined) return;
    this.counters.add(`detector-down-${session.end}`);
    this.#outputs.push({ kind: 'down', link, reason: session.end });
  }

  #transmit(link: number, session: DetectorSession<Address>, nowMs: number): void {
    const probe = session.nextProbe(nowMs, this.#isVouching);
    const { to } = session;
    if (probe !== undefined && to !== undefined) {
      const bytes = new Uint8Array(PROBE_BYTES);
      bytes.set(encodeProbe(probe));
      bytes.set(this.#ports.sign(session.keys.sendKey, bytes.subarray(0, SIGNED_BYTES)), SIGNED_BYTES);
      this.#outputs.push({ kind: 'send', to, bytes });
    }
    if (session.isForgettable) this.#forget(link, session);
    else this.#nextMs = Math.min(this.#nextMs, session.deadlineMs());
  }

  #measure(nowMs: number): void {
    this.#measureMs = nowMs + MEASURE_INTERVAL_MS;
    for (const [link, session] of this.#sessions) {
      const { measurement, highest } = session;
      if (session.isUp && measurement !== undefined)
        this.#outputs.push({ kind: 'measure', link, measurement, highest });
    }
  }

  #forget(link: number, session: DetectorSession<Address>): void {
    this.#sessions.delete(link);
    this.#byDiscriminator.delete(session.keys.receiveDiscriminator);
  }
}
