import { describe, expect, test } from 'vitest';
import { SeededRandom } from '#kernel/random.ts';
import { Network } from './network.ts';
import { SEND_BUFFER_BYTES } from './pipe.ts';
import { Timeline } from './timeline.ts';
import { connectTransport, type TransportEnd } from './transport.ts';

interface Side {
  readonly end: TransportEnd;
  readonly got: number[];
  closes: number;
  rooms: number;
}

function pair(): { readonly timeline: Timeline; readonly network: Network; readonly near: Side; readonly far: Side } {
  const timeline = new Timeline();
  const network = new Network(() => ({ delayMs: 5, jitterMs: 1, bytesPerMs: 1_000, lossShare: 0 }));
  const ends = connectTransport(['a', 'b'], network, timeline, new SeededRandom(7));
  const [near, far] = ends.map((end): Side => {
    const side: Side = { end, got: [], closes: 0, rooms: 0 };
    end.user = {
      handleBytes: (bytes) => {
        for (const byte of bytes) side.got.push(byte);
        end.noteRead(bytes.byteLength);
      },
      handleClosed: () => side.closes++,
      handleRoom: () => side.rooms++,
    };
    return side;
  });
  if (near === undefined || far === undefined) throw new Error('a transport has two ends');
  return { timeline, network, near, far };
}

function numbers(count: number): Uint8Array {
  return new Uint8Array(count).map((_, i) => i % 251);
}

describe('a simulated transport', () => {
  test('delivers bytes in order, however they were cut', () => {
    const { timeline, near, far } = pair();
    const sent = numbers(5_000);
    for (let at = 0; at < sent.byteLength; at += 100) near.end.write(sent.slice(at, at + 100));
    timeline.runUntil(1_000);
    expect(far.got).toEqual([...sent]);
  });

  test('says nothing of a write that was accepted and is not delivered while the way is blocked', () => {
    const { timeline, network, near, far } = pair();
    const block = { isBlocked: true };
    network.direction('a', 'b').add(block, timeline.nowMs);
    near.end.write(numbers(10));
    timeline.runUntil(5_000);
    expect(far.got).toEqual([]);
    expect(near.closes + far.closes).toBe(0);
    network.direction('a', 'b').remove(block, timeline.nowMs);
    timeline.runUntil(20_000);
    expect(far.got).toHaveLength(10);
  });

  test('stalls a writer whose peer does not acknowledge, and tells it of room later', () => {
    const { timeline, network, near } = pair();
    const block = { isBlocked: true };
    network.direction('b', 'a').add(block, timeline.nowMs);
    near.end.write(numbers(SEND_BUFFER_BYTES));
    timeline.runUntil(2_000);
    expect(near.end.roomBytes).toBe(0);
    network.direction('b', 'a').remove(block, timeline.nowMs);
    timeline.runUntil(4_000);
    expect(near.rooms).toBe(1);
    expect(near.end.roomBytes).toBe(SEND_BUFFER_BYTES);
  });

  test('a reset may drop what was buffered and ends the other side once', () => {
    const { timeline, near, far } = pair();
    for (let i = 0; i < 50; i++) near.end.write(numbers(1_000));
    near.end.reset();
    timeline.runUntil(5_000);
    expect(far.got.length).toBeLessThan(50_000);
    expect(far.closes).toBe(1);
    expect(near.closes).toBe(0);
  });

  test('a graceful end arrives after all bytes', () => {
    const { timeline, near, far } = pair();
    near.end.write(numbers(3_000));
    near.end.finish();
    timeline.runUntil(1_000);
    expect(far.got).toHaveLength(3_000);
    expect(far.closes).toBe(1);
  });

  test('a machine that lost power says nothing, and what comes for a closed end is refused', () => {
    const { timeline, near, far } = pair();
    near.end.vanish();
    far.end.write(numbers(10));
    timeline.runUntil(10_000);
    expect(far.closes).toBe(0);
    const second = pair();
    second.near.end.isClosed = true;
    second.far.end.write(numbers(10));
    second.timeline.runUntil(1_000);
    expect(second.far.closes).toBe(1);
  });

  test('bytes take as long as the bandwidth says, also when it changes under way', () => {
    const { timeline, network, near, far } = pair();
    near.end.write(numbers(20_000));
    timeline.runUntil(10);
    const clog = { bandwidthShare: 0.000_01 };
    network.direction('a', 'b').add(clog, timeline.nowMs);
    timeline.runUntil(2_000);
    expect(far.got.length).toBeLessThan(20_000);
    network.direction('a', 'b').remove(clog, timeline.nowMs);
    timeline.runUntil(2_100);
    expect(far.got).toHaveLength(20_000);
  });
});
