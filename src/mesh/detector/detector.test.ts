import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { present } from '#kernel/assert.ts';
import { Detector } from '#mesh/detector/detector.ts';
import { FakeDetectors, fakeDetectorPorts, fakeKeys, type FakeProbe } from '#mesh/detector/fake-detectors.ts';
import {
  decodeProbe,
  Diagnostic,
  encodeProbe,
  PROBE_BYTES,
  type Probe,
  ProbeState,
  SIGNED_BYTES,
} from '#mesh/detector/probe.ts';

const NORMAL = { intervalMs: 100, multiplier: 3 };
const FAST = { intervalMs: 50, multiplier: 3 };

function established(profile = NORMAL): FakeDetectors {
  const pair = new FakeDetectors(profile);
  pair.watch();
  pair.run(500);
  expect([pair.toldMs('a', 'up'), pair.toldMs('b', 'up')].every((atMs) => atMs !== undefined)).toBe(true);
  return pair;
}

/** A probe from a to b, signed as a would. */
function probeOfA(changes: Partial<Probe>, link = 1): Uint8Array {
  const keys = fakeKeys('a', link);
  const signed = encodeProbe({
    state: ProbeState.up,
    diagnostic: Diagnostic.none,
    lateMs: 0,
    intervalMs: 100,
    lossRatio: 0,
    discriminator: keys.sendDiscriminator,
    sequence: 1_000n,
    highest: 1n,
    sentUs: 0,
    echoUs: 0,
    heldUs: 0,
    ...changes,
  });
  const bytes = new Uint8Array(PROBE_BYTES);
  bytes.set(signed);
  bytes.set(fakeDetectorPorts().sign(keys.sendKey, signed), SIGNED_BYTES);
  return bytes;
}

function lastOf(pair: FakeDetectors, side: 'a' | 'b'): FakeProbe {
  return present(
    pair.sent.findLast(({ from }) => from === side),
    'a probe was sent',
  );
}

const refusals = (pair: FakeDetectors, side: 'a' | 'b'): Record<string, number> =>
  Object.fromEntries(Object.entries(pair.at[side].counters.toJSON()).filter(([name]) => name.startsWith('probe-')));

describe('a session', () => {
  test('is up when both directions were seen, within a few round trips', () => {
    const pair = new FakeDetectors();
    pair.delayMs = 20;
    pair.watch();
    pair.run(200);
    expect(present(pair.toldMs('a', 'up'), 'a is up') - 1_000).toBeLessThan(130);
    expect(present(pair.toldMs('b', 'up'), 'b is up') - 1_000).toBeLessThan(130);
  });

  test.each(['a', 'b'] as const)('never comes up, nor goes down, when nothing from %s arrives', (mute) => {
    const pair = new FakeDetectors();
    pair.passes = ({ from }) => from !== mute;
    pair.watch();
    pair.run(60_000);
    expect(pair.told).toEqual({ a: [], b: [] });
  });

  test('that was never up seeks its peer once a second', () => {
    const pair = new FakeDetectors();
    pair.passes = () => false;
    pair.watch();
    pair.run(60_000);
    expect(pair.sent.length).toBeLessThan(90);
    pair.passes = () => true;
    pair.run(2_000);
    expect(pair.toldMs('b', 'up')).toBeDefined();
  });

  test('comes up over a round trip longer than the detection time', () => {
    const pair = new FakeDetectors();
    pair.delayMs = 450;
    pair.watch();
    pair.run(20_000);
    expect([pair.toldMs('a', 'up'), pair.toldMs('b', 'up')].every((atMs) => atMs !== undefined)).toBe(true);
    expect([pair.downReason('a'), pair.downReason('b')]).toEqual([undefined, undefined]);
  });

  test.each([
    [NORMAL, 300],
    [FAST, 150],
  ])('ends after three intervals of silence: %j', (profile, mostMs) => {
    const pair = established(profile);
    pair.run(5_000);
    const frozenMs = pair.nowMs;
    pair.frozen.add('b');
    pair.run(1_000);
    const tookMs = present(pair.toldMs('a', 'down'), 'a noticed') - frozenMs;
    expect(tookMs).toBeLessThanOrEqual(mostMs + pair.delayMs + 1);
    expect(tookMs).toBeGreaterThan(mostMs - profile.intervalMs - 2);
    expect(pair.downReason('a')).toBe('expired');
  });

  test.each(['a', 'b'] as const)('ends on both sides when only what %s sends is lost', (mute) => {
    const pair = established();
    pair.passes = ({ from }) => from !== mute;
    pair.run(400);
    const other = mute === 'a' ? 'b' : 'a';
    expect(pair.downReason(other)).toBe('expired');
    expect(pair.downReason(mute)).toBe('neighbour-down');
  });

  test('goes on when every second probe is lost, and says so', () => {
    const pair = established();
    const count = { a: 0, b: 0 };
    pair.passes = ({ from }) => count[from]++ % 2 === 0;
    pair.run(60_000);
    expect(pair.downReason('a')).toBeUndefined();
    const { output } = present(pair.told.a.at(-1), 'a measured');
    if (output.kind !== 'measure') throw new Error('not a measurement');
    expect(output.measurement.lossRatio).toBeGreaterThan(0.4);
  });

  test('goes on while the link itself delivers, and ends when that ends too', () => {
    const pair = established();
    pair.passes = () => false;
    for (let i = 0; i < 100; i++) {
      pair.at.a.handleLife(1, pair.nowMs);
      pair.at.b.handleLife(1, pair.nowMs);
      pair.run(100);
    }
    expect([pair.downReason('a'), pair.downReason('b')]).toEqual([undefined, undefined]);
    pair.run(301);
    expect([pair.downReason('a'), pair.downReason('b')]).toEqual(['expired', 'expired']);
  });

  test('follows the slower of two profiles', () => {
    const pair = new FakeDetectors(NORMAL, FAST);
    pair.watch();
    pair.run(10_000);
    expect(pair.downReason('a') ?? pair.downReason('b')).toBeUndefined();
    expect(pair.sent.length).toBeLessThan(300);
  });

  test('says that it ended three times and is forgotten', () => {
    const pair = established();
    pair.passes = () => false;
    pair.run(400);
    const before = pair.sent.length;
    pair.run(10_000);
    expect(pair.sent.length - before).toBeLessThan(6);
    const never = Number.POSITIVE_INFINITY;
    expect([pair.at.a.deadlineMs(), pair.at.b.deadlineMs()]).toEqual([never, never]);
  });

  test('that another detector took over does not end at the peer', () => {
    const pair = established();
    pair.run(1_000);
    pair.resume('a', { firstSequence: 1n << 40n, highest: 12n });
    pair.run(2_000);
    pair.resume('b', { firstSequence: 1n << 40n, highest: 1n << 40n });
    pair.run(2_000);
    expect([pair.downReason('a'), pair.downReason('b')]).toEqual([undefined, undefined]);
    expect(pair.told.b.filter(({ output }) => output.kind === 'up')).toHaveLength(2);
  });

  test('whose peer is at the maximum of its sequence ends by silence: what wraps is stale', () => {
    const pair = established();
    pair.resume('a', { firstSequence: 2n ** 64n - 3n, highest: 0n });
    pair.run(1_000);
    expect([pair.downReason('a'), pair.downReason('b')]).toEqual(['neighbour-down', 'expired']);
    expect(refusals(pair, 'b')['probe-refused-stale']).toBeGreaterThan(0);
  });

  test('takes a probe with the largest sequence, and nothing after it', () => {
    const pair = established();
    pair.at.b.handleProbe(probeOfA({ sequence: 2n ** 64n - 1n }), 'a', pair.nowMs);
    pair.run(1_000);
    expect(pair.downReason('b')).toBe('expired');
  });
});

describe('a detector that was not let run', () => {
  test('accuses nobody when it wakes, and hears again', () => {
    const pair = established();
    pair.frozen.add('a');
    pair.run(150);
    pair.at.b.handleLife(1, pair.nowMs);
    pair.run(140);
    pair.frozen.clear();
    pair.run(5_000);
    expect([pair.downReason('a'), pair.downReason('b')]).toEqual([undefined, undefined]);
    expect(pair.at.a.counters.get('detector-late')).toBe(1);
  });

  test('accuses nobody while garbage floods in, whose place in the buffers its peers’ probes wanted', () => {
    const pair = established();
    pair.passes = ({ from }) => from === 'b';
    const flood = (perMs: number, forMs: number): void => {
      for (let ms = 0; ms < forMs; ms++) {
        for (let i = 0; i < perMs; i++) pair.at.b.handleProbe(new Uint8Array(64), 'elsewhere', pair.nowMs);
        pair.run(1);
      }
    };
    flood(20, 3_000);
    expect(pair.downReason('b')).toBeUndefined();
    expect(pair.at.b.counters.get('detector-flooded')).toBeGreaterThanOrEqual(10);
    flood(1, 400);
    expect(pair.downReason('b')).toBe('expired');
  });

  test('notices within as long again that its peer went away meanwhile', () => {
    const pair = established();
    pair.passes = () => false;
    pair.frozen.add('a');
    pair.run(2_000);
    pair.frozen.clear();
    pair.run(302);
    expect(pair.downReason('a')).toBe('expired');
  });
});

describe('a side that is starved of processor', () => {
  test.each([
    [80, 330],
    [510, 500],
  ])('and was %i ms late is given up after %i ms', (lateMs, mostMs) => {
    const pair = established();
    pair.frozen.add('a');
    pair.at.b.handleProbe(probeOfA({ lateMs }), 'a', pair.nowMs);
    const heardMs = pair.nowMs;
    pair.run(1_000);
    const tookMs = present(pair.toldMs('b', 'down'), 'b noticed') - heardMs;
    expect(tookMs).toBeLessThanOrEqual(mostMs + 1);
    expect(tookMs).toBeGreaterThan(mostMs - 3);
  });

  test('says so to its neighbours, less with time', () => {
    const pair = established();
    const lateOf = (): number => decodeProbe(lastOf(pair, 'a').bytes)?.lateMs ?? Number.NaN;
    expect(lateOf()).toBe(0);
    pair.at.a.handleDeadline(pair.nowMs, 90);
    pair.run(120);
    expect(lateOf()).toBeGreaterThan(80);
    pair.run(30_000);
    expect(lateOf()).toBeLessThan(3);
  });
});

test('a process that does no work is not vouched for: its neighbours drop it at once', () => {
  const pair = established();
  pair.at.b.handleVouching(false, pair.nowMs);
  pair.run(120);
  expect(pair.downReason('a')).toBe('neighbour-hung');
  expect(pair.downReason('b')).toBe('neighbour-down');
});

describe('measuring', () => {
  test('tells round trip, jitter and loss every second, whatever the clocks of the two say', () => {
    const pair = established();
    pair.delayMs = 12;
    pair.run(10_000);
    const measured = pair.told.a.flatMap(({ output }) => (output.kind === 'measure' ? [output.measurement] : []));
    expect(measured.length).toBeGreaterThanOrEqual(9);
    expect(measured.at(-1)?.rttMs).toBeCloseTo(24, -1);
    expect(measured.at(-1)?.jitterMs).toBeLessThan(2);
    expect(measured.at(-1)?.lossRatio).toBeLessThan(0.01);
  });

  test('a peer that says it held a probe for ever makes no negative round trip', () => {
    const pair = established();
    pair.frozen.add('a');
    for (let sequence = 1_000n; sequence < 1_020n; sequence++) {
      const bytes = probeOfA({ sequence, heldUs: 2 ** 32 - 1, echoUs: 2 ** 32 - 1 });
      pair.at.b.handleProbe(bytes, 'a', pair.nowMs);
      pair.run(100);
    }
    const measured = pair.told.b.flatMap(({ output }) => (output.kind === 'measure' ? [output.measurement.rttMs] : []));
    expect(Math.min(...measured)).toBeGreaterThanOrEqual(0);
    expect(measured.length).toBeGreaterThan(0);
  });
});

describe('bad input has no effect but a count', () => {
  test('replayed and reordered', () => {
    const pair = established();
    const old = pair.sent.filter(({ from }) => from === 'a');
    for (const { bytes } of old.toReversed()) pair.at.b.handleProbe(bytes, 'mallory', pair.nowMs);
    expect(refusals(pair, 'b')).toEqual({ 'probe-refused-stale': old.length });
    pair.run(500);
    expect(lastOf(pair, 'b').to).toBe('a');
  });

  test('replayed, it does not keep a dead peer alive', () => {
    const pair = established();
    const { bytes } = lastOf(pair, 'a');
    pair.frozen.add('a');
    for (let i = 0; i < 40; i++) {
      pair.at.b.handleProbe(bytes, 'a', pair.nowMs);
      pair.run(10);
    }
    expect(pair.downReason('b')).toBe('expired');
  });

  test('reflected to its sender', () => {
    const pair = established();
    pair.at.a.handleProbe(lastOf(pair, 'a').bytes, 'b', pair.nowMs);
    expect(refusals(pair, 'a')).toEqual({ 'probe-refused-discriminator': 1 });
  });

  test('every single flipped bit', () => {
    const pair = established();
    const good = probeOfA({});
    for (let bit = 0; bit < good.byteLength * 8; bit++) {
      const bad = Uint8Array.from(good);
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      pair.at.b.handleProbe(bad, 'mallory', pair.nowMs);
    }
    expect(refusals(pair, 'b')).toEqual({
      'probe-refused-version': 8,
      'probe-refused-discriminator': 64,
      'probe-refused-forged': 440,
    });
  });

  test('truncated, oversize, and of another version', () => {
    const pair = established();
    const good = probeOfA({});
    for (let length = 0; length < PROBE_BYTES; length++)
      pair.at.b.handleProbe(good.subarray(0, length), 'a', pair.nowMs);
    pair.at.b.handleProbe(new Uint8Array(65_507), 'a', pair.nowMs);
    pair.at.b.handleProbe(
      Uint8Array.from(good, (byte, i) => (i === 0 ? 2 : byte)),
      'a',
      pair.nowMs,
    );
    expect(refusals(pair, 'b')).toEqual({
      'probe-refused-truncated': 64,
      'probe-refused-oversize': 1,
      'probe-refused-version': 1,
    });
  });

  test('for another link, and with the key of another link', () => {
    const pair = established();
    pair.watch(2);
    pair.at.b.handleProbe(probeOfA({}, 7), 'a', pair.nowMs);
    const name = fakeKeys('a', 2).sendDiscriminator;
    pair.at.b.handleProbe(probeOfA({ discriminator: name }), 'a', pair.nowMs);
    expect(refusals(pair, 'b')).toEqual({ 'probe-refused-discriminator': 1, 'probe-refused-forged': 1 });
  });

  test('a state that does not exist, rightly signed', () => {
    const pair = established();
    for (const state of [0, 4, 255]) {
      pair.at.b.handleProbe(probeOfA({ state: state as ProbeState }), 'a', pair.nowMs);
      pair.at.b.handleProbe(probeOfA({ diagnostic: (state + 4) as Diagnostic }), 'a', pair.nowMs);
    }
    expect(pair.at.b.counters.get('probe-refused-malformed')).toBeGreaterThanOrEqual(5);
  });

  test('nothing that is not authenticated is answered, nor moves where probes go', () => {
    const pair = new FakeDetectors();
    pair.watch();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        pair.at.b.handleProbe(bytes, 'mallory', pair.nowMs);
        expect(pair.at.b.poll()).toBeUndefined();
      }),
    );
    pair.run(1_000);
    expect(pair.sent.some(({ to }) => to === 'mallory')).toBe(false);
  });

  test('no probe is answered by more than one of its own size', () => {
    const pair = established();
    for (let sequence = 2_000n; sequence < 2_100n; sequence++) {
      const before = pair.at.b.poll();
      expect(before).toBeUndefined();
      pair.at.b.handleProbe(probeOfA({ sequence, state: sequence % 2n === 0n ? 2 : 3 }), 'a', pair.nowMs);
      const [answer, more] = [pair.at.b.poll(), pair.at.b.poll()];
      expect(more).toBeUndefined();
      expect(answer?.kind === 'send' ? answer.bytes.byteLength : 0).toBeLessThanOrEqual(PROBE_BYTES);
    }
  });

  test('an acceptor follows its peer to another address, a dialler stays with the one it dialled', () => {
    const pair = established();
    pair.at.b.handleProbe(probeOfA({}), 'a-moved', pair.nowMs);
    pair.run(150);
    expect(lastOf(pair, 'b').to).toBe('a-moved');
    expect(lastOf(pair, 'a').to).toBe('b');
  });

  test('a peer that claims an interval of a minute is given up after three seconds', () => {
    const pair = established();
    pair.at.b.handleProbe(probeOfA({ intervalMs: 65_535 }), 'a', pair.nowMs);
    pair.frozen.add('a');
    pair.run(3_100);
    expect(pair.downReason('b')).toBe('expired');
  });

  test('a peer that jumps to the last sequence only hurts itself', () => {
    const pair = established();
    pair.at.b.handleProbe(probeOfA({ sequence: 2n ** 64n - 1n }), 'a', pair.nowMs);
    pair.run(400);
    expect(pair.downReason('b')).toBe('expired');
    expect(pair.at.b.counters.get('probe-refused-stale')).toBeGreaterThan(1);
  });
});

test('more links than a node may have stay unwatched', () => {
  const detector = new Detector<string>(fakeDetectorPorts(), NORMAL, 0);
  const watched = Array.from({ length: 2_050 }, (_, id) =>
    detector.watch({ id, keys: { ...fakeKeys('a'), receiveDiscriminator: BigInt(id) }, to: 'b' }, 0),
  );
  expect(watched.filter(Boolean)).toHaveLength(2_048);
  expect(detector.counters.get('detector-unwatched')).toBe(2);
});

test('any sequence of losses, delays and freezes ends in both sides up or both sides told', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('lose-a', 'lose-b', 'slow', 'freeze-a', 'freeze-b', 'calm'), fc.nat(600)), {
        maxLength: 12,
      }),
      (faults) => {
        const pair = established();
        for (const [fault, forMs] of faults) {
          pair.passes = ({ from }) => fault !== `lose-${from}`;
          pair.delayMs = fault === 'slow' ? 80 : 1;
          if (fault === 'freeze-a') pair.frozen.add('a');
          if (fault === 'freeze-b') pair.frozen.add('b');
          pair.run(forMs);
          pair.frozen.clear();
        }
        pair.passes = () => true;
        pair.run(2_000);
        expect(pair.downReason('a') === undefined).toBe(pair.downReason('b') === undefined);
      },
    ),
    { numRuns: 60 },
  );
});
