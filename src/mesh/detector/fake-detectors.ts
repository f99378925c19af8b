import { bytesEqual } from '#kernel/bytes.ts';
import { SeededRandom } from '#kernel/random.ts';
import { Detector, type DetectorOutput, type DetectorPorts } from '#mesh/detector/detector.ts';
import { TAG_BYTES } from '#mesh/detector/probe.ts';
import type { DetectorProfile, SessionKeys, SessionResume } from '#mesh/detector/session.ts';

/** A tag that depends on every byte and on the key; it protects nothing. */
function fakeTag(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  const tag = new Uint8Array(TAG_BYTES);
  [...key, ...bytes].forEach((byte, i) => {
    const at = i % TAG_BYTES;
    tag[at] = ((tag[at] ?? 0) * 31 + byte + 1) & 0xff;
  });
  return tag;
}

export function fakeDetectorPorts(seed = 1): DetectorPorts {
  const random = new SeededRandom(seed);
  return {
    sign: fakeTag,
    verify: (key, bytes, tag) => bytesEqual(fakeTag(key, bytes), tag),
    fraction: () => random.fraction(),
  };
}

export type FakeSide = 'a' | 'b';

/** The keys of one link between the two. */
export function fakeKeys(side: FakeSide, link = 1): SessionKeys {
  const toB = { key: new Uint8Array(32).fill(link), name: BigInt(link) * 16n + 1n };
  const toA = { key: new Uint8Array(32).fill(link + 100), name: BigInt(link) * 16n + 2n };
  const [send, receive] = side === 'a' ? [toB, toA] : [toA, toB];
  return {
    sendKey: send.key,
    receiveKey: receive.key,
    sendDiscriminator: send.name,
    receiveDiscriminator: receive.name,
  };
}

export interface FakeProbe {
  readonly from: FakeSide;
  readonly to: string;
  readonly bytes: Uint8Array;
  readonly sentMs: number;
}

/** Two detectors and what lies between them, in virtual time. `a` dials. */
export class FakeDetectors {
  nowMs = 1_000;
  readonly at: Readonly<Record<FakeSide, Detector<string>>>;
  readonly told: Record<FakeSide, { readonly atMs: number; readonly output: DetectorOutput<string> }[]> = {
    a: [],
    b: [],
  };
  /** Every probe that was sent, whether it arrived or not. */
  readonly sent: FakeProbe[] = [];
  /** One way, milliseconds. */
  delayMs = 1;
  /** Whether the probe gets through. */
  passes: (probe: FakeProbe) => boolean = () => true;
  /** Sides that are not let run. */
  readonly frozen = new Set<FakeSide>();
  readonly #flying: { readonly atMs: number; readonly probe: FakeProbe }[] = [];

  constructor(profile: DetectorProfile = { intervalMs: 100, multiplier: 3 }, profileB = profile) {
    this.at = {
      a: new Detector<string>(fakeDetectorPorts(1), profile, this.nowMs),
      b: new Detector<string>(fakeDetectorPorts(2), profileB, this.nowMs),
    };
  }

  watch(link = 1): void {
    this.at.a.watch({ id: link, keys: fakeKeys('a', link), to: 'b' }, this.nowMs);
    this.at.b.watch({ id: link, keys: fakeKeys('b', link), to: undefined }, this.nowMs);
  }

  /** As `watch`, for a side that lost its detector. */
  resume(side: FakeSide, resume: SessionResume): void {
    this.at[side].unwatch(1);
    this.at[side].watch({ id: 1, keys: fakeKeys(side), to: side === 'a' ? 'b' : undefined, resume }, this.nowMs);
  }

  /** Lets time pass, one millisecond at a time. */
  run(forMs: number): void {
    const untilMs = this.nowMs + forMs;
    for (; this.nowMs < untilMs; this.nowMs++) this.#step();
  }

  /** When a side said this of link 1, or undefined. */
  toldMs(side: FakeSide, kind: DetectorOutput<string>['kind']): number | undefined {
    return this.told[side].find(({ output }) => output.kind === kind)?.atMs;
  }

  /** Why a side took link 1 down. */
  downReason(side: FakeSide): string | undefined {
    return this.told[side].flatMap(({ output }) => (output.kind === 'down' ? [output.reason] : [])).at(0);
  }

  #step(): void {
    while (this.#flying[0] !== undefined && this.#flying[0].atMs <= this.nowMs) {
      const { probe } = this.#flying[0];
      const to = probe.from === 'a' ? 'b' : 'a';
      if (this.frozen.has(to)) break;
      this.#flying.shift();
      this.at[to].handleProbe(probe.bytes, probe.from, this.nowMs);
    }
    for (const side of ['a', 'b'] as const) {
      if (this.frozen.has(side)) continue;
      const lateMs = this.nowMs - this.at[side].deadlineMs();
      if (lateMs >= 0) this.at[side].handleDeadline(this.nowMs, lateMs);
      this.#drain(side);
    }
  }

  #drain(side: FakeSide): void {
    for (let output = this.at[side].poll(); output !== undefined; output = this.at[side].poll()) {
      if (output.kind !== 'send') {
        this.told[side].push({ atMs: this.nowMs, output });
        continue;
      }
      const probe = { from: side, to: output.to, bytes: output.bytes, sentMs: this.nowMs };
      this.sent.push(probe);
      if (this.passes(probe)) this.#flying.push({ atMs: this.nowMs + this.delayMs, probe });
    }
  }
}
