import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { present } from '#kernel/assert.ts';
import { bytesEqual } from '#kernel/bytes.ts';
import { SeededRandom } from '#kernel/random.ts';
import { encodeFrame, FrameType, StreamKind } from '#mesh/mux/frame.ts';
import { ByteLog, MuxPair, type PairEnd, type PairStream } from '#mesh/mux/mux-pair.ts';
import { FIRST_WINDOW_BYTES, WindowPool } from '#mesh/mux/window-pool.ts';

function openPair(options: ConstructorParameters<typeof MuxPair>[0] = {}): MuxPair {
  const pair = new MuxPair(options);
  pair.run(options.delayMs === undefined ? 0 : options.delayMs * 4);
  return pair;
}

function open(
  pair: MuxPair,
  from: PairEnd = pair.dialer,
  group = 'local',
  kind: StreamKind = StreamKind.stream,
): PairStream {
  const opened = from.mux.open(kind, Uint8Array.of(1, 2, 3), 'opener', group);
  if (!opened.ok) throw new Error(opened.error);
  return opened.value;
}

function connect(
  pair: MuxPair,
  group = 'local',
  kind: StreamKind = StreamKind.stream,
): { readonly near: PairStream; readonly far: PairStream } {
  const near = open(pair, pair.dialer, group, kind);
  pair.runUntil(() => pair.acceptor.last('opened')?.stream.id === near.id);
  const far = present(pair.acceptor.last('opened'), 'opened').stream;
  pair.acceptor.mux.accept(far);
  pair.runUntil(() => near.state === 'open');
  return { near, far };
}

describe('a tunnel', () => {
  test('is up once both HELLOs have crossed', () => {
    const pair = new MuxPair();
    expect(pair.dialer.mux.isUp).toBe(false);
    pair.run();
    expect([pair.dialer.mux.isUp, pair.acceptor.mux.isUp]).toEqual([true, true]);
  });

  test('opens nothing before that', () => {
    const pair = new MuxPair();
    expect(pair.dialer.mux.open(StreamKind.stream, new Uint8Array(), 'x', 'local')).toEqual({
      ok: false,
      error: 'TUNNEL_NOT_UP',
    });
  });

  test('whose peer refuses it ends with the peer’s reason', () => {
    const refusing = new MuxPair({ acceptor: {} });
    const hello = { version: 1, oldestVersion: 1, incarnation: 1, features: 0 };
    const ids = { tunnelId: new Uint8Array(16), replaces: new Uint8Array(16) };
    const pair = new MuxPair({ acceptor: { hello: { ...hello, ...ids, refusal: { code: 'CERT_REVOKED' } } } });
    pair.run();
    expect(pair.dialer.last('failed')?.reason).toEqual({ code: 'CERT_REVOKED' });
    expect(refusing.dialer.last('failed')).toBeUndefined();
  });

  test('without a HELLO fails in five seconds', () => {
    const pair = new MuxPair();
    pair.dialer.mux.handleDeadline(4_999);
    expect(pair.dialer.mux.poll()).toBeUndefined();
    pair.dialer.mux.handleDeadline(5_000);
    expect(pair.dialer.mux.poll()).toEqual({ kind: 'failed', reason: { code: 'HELLO_TIMEOUT' } });
  });

  test('whose peer says nothing for three seconds fails, and one that is merely idle does not', () => {
    const idle = openPair();
    idle.run(60_000);
    expect(idle.dialer.last('failed')).toBeUndefined();
    const silent = openPair();
    for (let nowMs = 1_000; nowMs < 9_000; nowMs += 250) {
      silent.dialer.mux.handleDeadline(nowMs);
      while (silent.dialer.mux.pollTransmit(nowMs) !== undefined);
    }
    expect(silent.dialer.mux.poll()).toEqual({ kind: 'failed', reason: { code: 'TUNNEL_SILENT' } });
  });

  test('that is closed with an OPEN unread names only the streams that have an owner', () => {
    const pair = openPair();
    const { far } = connect(pair);
    pair.acceptor.mux.handleBytes(encodeFrame(FrameType.open, 9, new Uint8Array(5)), pair.nowMs);
    expect(pair.acceptor.mux.close()).toEqual([far]);
    expect(pair.acceptor.mux.poll()).toBeUndefined();
    expect(pair.acceptor.pool.reservedBytes).toBe(0);
  });

  test('needs no second call at the deadline that it named, whatever is rounded', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e7, noNaN: true }), (startMs) => {
        const pair = openPair();
        pair.run(startMs);
        const deadlineMs = present(pair.dialer.mux.deadlineMs(), 'a deadline');
        pair.dialer.mux.handleDeadline(deadlineMs);
        expect(pair.dialer.mux.deadlineMs() ?? Number.POSITIVE_INFINITY).toBeGreaterThan(deadlineMs);
      }),
      { numRuns: 20 },
    );
  });

  test('after GOAWAY opens nothing new and lets what is open go on', () => {
    const pair = openPair();
    const { near } = connect(pair);
    pair.acceptor.mux.goAway({ code: 'NODE_DRAINING' });
    pair.run();
    expect(pair.dialer.mux.open(StreamKind.stream, new Uint8Array(), 'x', 'local')).toEqual({
      ok: false,
      error: 'TUNNEL_DRAINING',
    });
    pair.dialer.mux.send(near, Uint8Array.of(7), pair.nowMs);
    pair.run();
    expect(pair.acceptor.received.get(near.id)?.bytes).toEqual(Uint8Array.of(7));
  });
});

describe('a stream', () => {
  test('carries its OPEN body, is accepted, and ends each way by itself', () => {
    const pair = openPair();
    const { near, far } = connect(pair);
    expect(pair.acceptor.last('opened')?.body).toEqual(Uint8Array.of(1, 2, 3));
    pair.dialer.mux.send(near, Uint8Array.of(9), pair.nowMs);
    pair.dialer.mux.finish(near, pair.nowMs);
    pair.run();
    expect(pair.acceptor.kinds().slice(-2)).toEqual(['data', 'fin']);
    pair.acceptor.mux.send(far, Uint8Array.of(8), pair.nowMs);
    pair.acceptor.mux.finish(far, pair.nowMs);
    pair.run();
    expect(pair.dialer.received.get(near.id)?.bytes).toEqual(Uint8Array.of(8));
    expect([near.state, far.state]).toEqual(['closed', 'closed']);
    expect([pair.dialer.pool.reservedBytes, pair.acceptor.pool.reservedBytes]).toEqual([0, 0]);
  });

  test('that is refused tells the code and the hop', () => {
    const pair = openPair();
    open(pair);
    pair.run();
    pair.acceptor.mux.refuse(present(pair.acceptor.last('opened'), 'opened').stream, { code: 'NO_PATH', hop: 'rome' });
    pair.run();
    expect(pair.dialer.last('refused')?.reason).toEqual({ code: 'NO_PATH', hop: 'rome' });
    expect(pair.dialer.mux.streamCount + pair.acceptor.mux.streamCount).toBe(0);
  });

  test('that is reset drops what it had queued, on both sides', () => {
    const pair = openPair();
    const { near } = connect(pair);
    pair.acceptor.isReading = false;
    pair.dialer.mux.send(near, new Uint8Array(500_000), pair.nowMs);
    pair.run();
    pair.dialer.mux.reset(near, { code: 'STREAM_ABORTED' });
    pair.run();
    expect(near.queue.bytes).toBe(0);
    expect(pair.acceptor.last('reset')?.reason).toEqual({ code: 'STREAM_ABORTED' });
    expect(pair.acceptor.pool.reservedBytes).toBe(0);
  });

  test('whose reader never reads stops at its window and slows no sibling', () => {
    const pair = openPair();
    const stalled = connect(pair);
    pair.acceptor.isReading = false;
    pair.dialer.mux.send(stalled.near, new Uint8Array(1_000_000), pair.nowMs);
    pair.run();
    expect(pair.acceptor.got(stalled.near)).toBe(FIRST_WINDOW_BYTES);
    pair.acceptor.isReading = true;
    const sibling = connect(pair);
    pair.dialer.mux.send(sibling.near, new Uint8Array(300_000), pair.nowMs);
    pair.run(pair.nowMs + 50);
    expect(pair.acceptor.got(sibling.near)).toBe(300_000);
  });

  test('that is read as fast as it comes earns a larger window, and an unread one does not', () => {
    const pair = openPair({ delayMs: 20 });
    const { near, far } = connect(pair);
    pair.dialer.mux.send(near, new Uint8Array(8_000_000), pair.nowMs);
    pair.run(pair.nowMs + 3_000);
    expect(far.window.sizeBytes).toBeGreaterThan(4 * FIRST_WINDOW_BYTES);
    expect(pair.acceptor.got(near)).toBe(8_000_000);
  });

  test('earns a window that fills a slow link, whose queue makes every round trip long', () => {
    const pair = openPair({ delayMs: 5, bytesPerMs: 2_500 });
    const { near } = connect(pair);
    pair.dialer.mux.send(near, new Uint8Array(8_000_000), pair.nowMs);
    pair.run(pair.nowMs + 1_000);
    const before = pair.acceptor.got(near);
    pair.run(pair.nowMs + 1_000);
    expect((pair.acceptor.got(near) - before) / 1_000).toBeGreaterThan(0.95 * 2_500);
  });

  test('wakes its waiting writer once', () => {
    const pair = openPair();
    const { near } = connect(pair);
    pair.dialer.mux.send(near, new Uint8Array(200_000), pair.nowMs);
    near.wakeBelowBytes = 50_000;
    pair.run(pair.nowMs + 10);
    expect(pair.dialer.kinds().filter((kind) => kind === 'writable')).toHaveLength(1);
  });
});

describe('a circuit', () => {
  test('whose acceptor asks to leave it goes on, and the opener is told why', () => {
    const pair = openPair();
    const { near, far } = connect(pair, 'local', StreamKind.circuit);
    pair.acceptor.mux.drain(far, { code: 'LINK_REPLACED', hop: 'rome' });
    pair.dialer.mux.drain(near, { code: 'LINK_REPLACED' });
    pair.run();
    expect(pair.dialer.last('drain')).toMatchObject({ stream: near, reason: { code: 'LINK_REPLACED', hop: 'rome' } });
    expect([near.state, far.state, pair.acceptor.last('drain')]).toEqual(['open', 'open', undefined]);
  });

  test('is left by its opener only, and no other stream is: else the tunnel ends', () => {
    const pair = openPair();
    const { near } = connect(pair);
    pair.dialer.mux.handleBytes(encodeFrame(FrameType.drain, near.id, Uint8Array.of(65)), pair.nowMs);
    pair.run();
    expect(pair.dialer.last('failed')?.reason).toEqual({ code: 'DRAIN_UNEXPECTED' });
  });
});

describe('caps', () => {
  test('an OPEN over the stream cap is refused and the tunnel lives', () => {
    const pair = openPair({ acceptor: { maxPeerStreams: 2 } });
    connect(pair);
    connect(pair);
    open(pair);
    pair.run();
    expect(pair.dialer.last('refused')?.reason.code).toBe('STREAM_CAP');
    expect(pair.acceptor.counters.get('open-refused-STREAM_CAP')).toBe(1);
    expect(pair.dialer.mux.isUp).toBe(true);
  });

  test('a storm of OPEN and RESET is refused beyond its rate, and nothing else spends tokens', () => {
    const pair = openPair({ acceptor: { maxPeerStreams: 10, opensPerSecond: 1 } });
    for (let i = 0; i < 50; i++) {
      pair.dialer.mux.reset(open(pair), { code: 'STREAM_ABORTED' });
      pair.run();
    }
    expect(pair.acceptor.counters.get('open-refused-OPEN_RATE')).toBe(40);
    expect(pair.acceptor.mux.streamCount).toBe(0);
    expect(pair.dialer.mux.isUp).toBe(true);
  });

  test('an OPEN that finds the window pool spent is refused on either side', () => {
    const pair = openPair({ acceptor: { pool: new WindowPool(FIRST_WINDOW_BYTES * 2) } });
    let refused = 0;
    for (let i = 0; i < 8; i++) {
      open(pair);
      pair.run();
      refused = pair.dialer.kinds().filter((kind) => kind === 'refused').length;
    }
    expect(refused).toBeGreaterThan(0);
    expect(pair.dialer.last('refused')?.reason.code).toBe('WINDOWS_EXHAUSTED');
    expect(pair.acceptor.pool.reservedBytes).toBeLessThanOrEqual(pair.acceptor.pool.limitBytes);
  });

  test('one-byte frames to a reader that never reads hold no more than their bytes', () => {
    const pair = openPair();
    const { near } = connect(pair);
    for (let i = 0; i < 10_000; i++) pair.dialer.mux.send(near, new Uint8Array(16_384).subarray(0, 1), pair.nowMs);
    const pieces: Uint8Array[] = [];
    near.queue.take(near.queue.bytes, pieces);
    expect(pieces.length).toBeLessThan(10);
  });
});

describe('a peer that breaks the protocol', () => {
  const cases: readonly (readonly [string, Uint8Array])[] = [
    ['FRAME_UNKNOWN_TYPE', Uint8Array.of(99, 0, 0, 0, 0, 0, 0, 0)],
    ['FRAME_TOO_BIG', Uint8Array.of(FrameType.data, 255, 255, 255, 0, 0, 0, 1)],
    ['STREAM_UNKNOWN', encodeFrame(FrameType.data, 4_711, Uint8Array.of(1))],
    ['STREAM_UNKNOWN', encodeFrame(FrameType.fin, 0, new Uint8Array())],
    ['OPEN_BAD_ID', encodeFrame(FrameType.open, 2, new Uint8Array(5))],
    ['OPEN_MALFORMED', encodeFrame(FrameType.open, 1, new Uint8Array(2))],
    ['PONG_UNEXPECTED', encodeFrame(FrameType.pong, 0, new Uint8Array(8).fill(7))],
    ['PING_MALFORMED', encodeFrame(FrameType.ping, 0, new Uint8Array(3))],
    ['HELLO_REPEATED', encodeFrame(FrameType.hello, 0, new Uint8Array(48))],
  ];
  test.each(cases)('gets %s, a counter, and nothing more is read', (code, bytes) => {
    const pair = openPair();
    pair.acceptor.mux.handleBytes(bytes, pair.nowMs);
    pair.run();
    expect(pair.acceptor.last('failed')?.reason).toEqual({ code });
    expect(pair.acceptor.counters.get(`tunnel-failed-${code}`)).toBe(1);
    const seen = pair.acceptor.events.length;
    pair.acceptor.mux.handleBytes(encodeFrame(FrameType.open, 9, new Uint8Array(5)), pair.nowMs);
    pair.run();
    expect(pair.acceptor.events.length).toBe(seen);
  });

  test('by sending beyond its credit is closed', () => {
    const pair = openPair();
    const { near } = connect(pair);
    pair.acceptor.isReading = false;
    near.sendCredit = 1_000_000;
    pair.dialer.mux.send(near, new Uint8Array(100_000), pair.nowMs);
    pair.run();
    expect(pair.acceptor.last('failed')?.reason.code).toBe('CREDIT_EXCEEDED');
  });

  test('by data after FIN, by credit that overflows, by an id used twice is closed', () => {
    const afterFin = openPair();
    const { near } = connect(afterFin);
    afterFin.acceptor.mux.handleBytes(encodeFrame(FrameType.fin, near.id, new Uint8Array()), 0);
    afterFin.acceptor.mux.handleBytes(encodeFrame(FrameType.data, near.id, Uint8Array.of(1)), 0);
    afterFin.run();
    expect(afterFin.acceptor.last('failed')?.reason.code).toBe('DATA_AFTER_FIN');
    const overflow = openPair();
    const stream = connect(overflow).near;
    overflow.dialer.mux.handleBytes(encodeFrame(FrameType.credit, stream.id, new Uint8Array(4).fill(255)), 0);
    overflow.run();
    expect(overflow.dialer.last('failed')?.reason.code).toBe('CREDIT_OVERFLOW');
    const twice = openPair();
    const { near: first } = connect(twice);
    twice.acceptor.mux.handleBytes(encodeFrame(FrameType.open, first.id, new Uint8Array(5)), 0);
    twice.run();
    expect(twice.acceptor.last('failed')?.reason.code).toBe('OPEN_BAD_ID');
  });

  test('cannot make it throw with any bytes after a good HELLO', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (chunks) => {
        const pair = openPair();
        for (const chunk of chunks) pair.acceptor.mux.handleBytes(chunk, 1);
        while (pair.acceptor.mux.poll() !== undefined);
        while (pair.acceptor.mux.pollTransmit(1) !== undefined);
        pair.acceptor.mux.close();
        expect(pair.acceptor.pool.reservedBytes).toBe(0);
      }),
    );
  });
});

describe('sharing', () => {
  test('five thousand streams reset at once do not hold a small write up', () => {
    const pair = openPair({ delayMs: 5, dialer: { maxPeerStreams: 10_000 }, acceptor: { maxPeerStreams: 10_000 } });
    const echo = connect(pair).near;
    const crowd = Array.from({ length: 5_000 }, () => open(pair));
    pair.runUntil(() => pair.acceptor.mux.streamCount === 5_001);
    for (const stream of crowd) pair.dialer.mux.reset(stream, { code: 'STREAM_ABORTED' });
    pair.dialer.mux.send(echo, Uint8Array.of(1), pair.nowMs);
    const startMs = pair.nowMs;
    pair.runUntil(() => pair.acceptor.got(echo) === 1);
    expect(pair.nowMs - startMs).toBeLessThan(50);
    expect(pair.acceptor.mux.streamCount).toBe(1);
  });

  test('a small write on a saturated 20 Mbit/s link comes back within 150 ms', () => {
    const pair = openPair({ delayMs: 5, bytesPerMs: 2_500 });
    const bulk = connect(pair);
    const echo = connect(pair);
    const worstMs: number[] = [];
    for (let round = 0; round < 40; round++) {
      if (bulk.near.queue.bytes < 500_000) pair.dialer.mux.send(bulk.near, new Uint8Array(1_000_000), pair.nowMs);
      pair.run(pair.nowMs + 100);
      const sentMs = pair.nowMs;
      const before = pair.acceptor.got(echo.near);
      pair.dialer.mux.send(echo.near, new Uint8Array(64), pair.nowMs);
      pair.runUntil(() => pair.acceptor.got(echo.near) >= before + 64);
      worstMs.push(pair.nowMs - sentMs);
    }
    expect(Math.max(...worstMs)).toBeLessThan(145);
    const carried = pair.acceptor.got(bulk.near);
    expect(carried / pair.nowMs).toBeGreaterThan(2_500 * 0.9);
  });

  test('a group of a hundred bulk streams gets no more than a group of one', () => {
    const pair = openPair({ bytesPerMs: 10_000, delayMs: 1 });
    const many = Array.from({ length: 100 }, () => connect(pair, 'crowd').near);
    const single = connect(pair, 'single').near;
    for (const stream of [...many, single]) pair.dialer.mux.send(stream, new Uint8Array(4_000_000), pair.nowMs);
    const startMs = pair.nowMs;
    pair.run(startMs + 400);
    const got = (stream: PairStream): number => pair.acceptor.got(stream);
    const crowd = many.reduce((sum, stream) => sum + got(stream), 0);
    expect(got(single) / (crowd + got(single))).toBeGreaterThan(0.4);
  });

  test('a group that was idle does not catch up on what it did not want', () => {
    const pair = openPair({ bytesPerMs: 10_000, delayMs: 1 });
    const [busy, idle] = [connect(pair, 'busy').near, connect(pair, 'idle').near];
    pair.dialer.mux.send(idle, new Uint8Array(200_000), pair.nowMs);
    pair.dialer.mux.send(busy, new Uint8Array(20_000_000), pair.nowMs);
    pair.run(pair.nowMs + 1_000);
    pair.dialer.mux.send(idle, new Uint8Array(8_000_000), pair.nowMs);
    const before = pair.acceptor.got(busy);
    pair.run(pair.nowMs + 500);
    expect(pair.acceptor.got(busy) - before).toBeGreaterThan(0.4 * 500 * 10_000);
  });

  test('interactive streams get at most about half of a link that bulk wants too', () => {
    const pair = openPair({ bytesPerMs: 1_000, delayMs: 1 });
    const bulk = connect(pair).near;
    const small = Array.from({ length: 400 }, () => connect(pair).near);
    pair.dialer.mux.send(bulk, new Uint8Array(4_000_000), pair.nowMs);
    for (const stream of small) pair.dialer.mux.send(stream, new Uint8Array(20_000), pair.nowMs);
    const before = pair.acceptor.got(bulk);
    const startMs = pair.nowMs;
    pair.run(startMs + 1_000);
    const carried = pair.acceptor.got(bulk) - before;
    expect(carried / 1_000_000).toBeGreaterThan(0.35);
  });
});

test('whatever both sides do, each stream delivers exactly a prefix of what was written, and all of it when it ended well', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
      const random = new SeededRandom(seed);
      const pair = openPair({ seed, delayMs: 2, bytesPerMs: 400 });
      const written = new Map<number, ByteLog>();
      const live: PairStream[] = [];
      const aborted = new Set<number>();
      for (let step = 0; step < 60; step++) {
        const dice = random.fraction();
        const stream = live[Math.floor(random.fraction() * live.length)];
        if (dice < 0.2 || stream === undefined) {
          live.push(connect(pair).near);
        } else if (dice < 0.75) {
          const bytes = random.bytes(Math.floor(random.fraction() * 30_000));
          pair.dialer.mux.send(stream, bytes, pair.nowMs);
          const all = written.get(stream.id) ?? new ByteLog();
          all.push(bytes);
          written.set(stream.id, all);
        } else if (dice < 0.8) {
          pair.dialer.mux.reset(stream, { code: 'STREAM_ABORTED' });
          aborted.add(stream.id);
          live.splice(live.indexOf(stream), 1);
        } else if (dice < 0.9) {
          pair.dialer.mux.finish(stream, pair.nowMs);
          live.splice(live.indexOf(stream), 1);
        } else {
          pair.run(pair.nowMs + random.fraction() * 40);
        }
      }
      pair.run(pair.nowMs + 20_000);
      expect(pair.dialer.last('failed') ?? pair.acceptor.last('failed')).toBeUndefined();
      for (const [id, sent] of written) {
        const got = pair.acceptor.received.get(id)?.bytes ?? new Uint8Array();
        expect(bytesEqual(got, sent.bytes.subarray(0, got.byteLength))).toBe(true);
        expect(aborted.has(id) || got.byteLength === sent.length).toBe(true);
      }
    }),
    { numRuns: 25 },
  );
});
