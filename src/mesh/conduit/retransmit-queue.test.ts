import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesEqual, concatBytes } from '#kernel/bytes.ts';
import { SeededRandom } from '#kernel/random.ts';
import {
  LEAST_RETAINED_BYTES,
  MAX_ALL_RETAINED_BYTES,
  MAX_RETAINED_BYTES,
  Retention,
} from '#mesh/conduit/retention.ts';
import { RetransmitQueue } from '#mesh/conduit/retransmit-queue.ts';

/** One that took all that it may. */
function filled(retention: Retention): RetransmitQueue {
  const queue = new RetransmitQueue();
  queue.chargeTo(retention);
  for (let i = 0; i < 2 * MAX_RETAINED_BYTES; i += 65_536) queue.push(new Uint8Array(65_536));
  while (queue.takeableBytes > 0) queue.take(Math.min(65_536, queue.takeableBytes), []);
  return queue;
}

function taken(queue: RetransmitQueue, bytes: number): Uint8Array {
  const pieces: Uint8Array[] = [];
  queue.take(bytes, pieces);
  return concatBytes(pieces);
}

/** Whether the next bytes are those that follow what was sent. */
function takesInOrder(queue: RetransmitQueue, written: Uint8Array, bytes: number): boolean {
  const from = queue.sent;
  return bytesEqual(taken(queue, bytes), written.slice(from, from + bytes));
}

describe('the bytes of one direction of a conduit', () => {
  test('go on from any offset between what was acknowledged and what was sent, whatever happened before', () => {
    const step = fc.record({
      act: fc.constantFrom('push', 'take', 'acknowledge', 'rewind'),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      length: fc.integer({ min: 1, max: 9_000 }),
    });
    const holds = fc.check(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(), (steps, seed) => {
        const random = new SeededRandom(seed);
        const queue = new RetransmitQueue();
        let written: Uint8Array = new Uint8Array();
        for (const { act, share, length } of steps) {
          if (act === 'push') {
            const piece = random.bytes(length);
            written = concatBytes([written, piece]);
            queue.push(piece);
          }
          if (act === 'take' && !takesInOrder(queue, written, Math.floor(share * queue.bytes))) return false;
          const offset = queue.acknowledged + Math.floor(share * (queue.sent - queue.acknowledged));
          if (act === 'acknowledge' && !queue.acknowledge(offset)) return false;
          if (act === 'rewind' && !queue.rewind(offset)) return false;
          if (queue.end !== written.byteLength) return false;
        }
        return queue.rewind(queue.acknowledged) && takesInOrder(queue, written, queue.bytes);
      }),
    );
    expect(holds.counterexample).toBeNull();
  });

  test('are neither acknowledged beyond what was sent nor backwards', () => {
    const queue = new RetransmitQueue();
    queue.push(new Uint8Array(100));
    taken(queue, 60);
    expect(queue.acknowledge(61)).toBe(false);
    expect(queue.rewind(61)).toBe(false);
    expect(queue.acknowledge(50)).toBe(true);
    expect(queue.acknowledge(49)).toBe(false);
    expect(queue.rewind(49)).toBe(false);
    expect([queue.acknowledged, queue.sent, queue.end]).toEqual([50, 60, 100]);
  });

  test('wait while no tunnel may take them', () => {
    const queue = new RetransmitQueue();
    queue.push(new Uint8Array(10));
    queue.clear();
    expect([queue.bytes, queue.waitingBytes]).toEqual([0, 10]);
    queue.rewind(0);
    expect(queue.bytes).toBe(10);
  });

  test('are let go of when they are acknowledged, also where an acknowledgement ends within a piece', () => {
    const queue = new RetransmitQueue();
    for (let i = 0; i < 1_000; i++) {
      queue.push(new Uint8Array(4_096));
      queue.take(4_096, []);
      queue.acknowledge((i + 1) * 4_096 - 1);
    }
    expect(queue.heldPieces).toBeLessThan(130);
  });

  test('of a peer that acknowledges nothing are retained up to a limit, and go on when it does', () => {
    const queue = new RetransmitQueue();
    for (let i = 0; i < 2 * MAX_RETAINED_BYTES; i += 65_536) queue.push(new Uint8Array(65_536));
    while (queue.takeableBytes > 0) queue.take(Math.min(65_536, queue.takeableBytes), []);
    expect(queue.sent).toBe(MAX_RETAINED_BYTES);
    expect(queue.bytes).toBe(MAX_RETAINED_BYTES);
    queue.acknowledge(1_000);
    expect(queue.takeableBytes).toBe(1_000);
  });

  test('of many conduits are retained up to a limit for their peer and one for all, beyond them a little each', () => {
    const all = { bytes: 0 };
    const retentions = [new Retention(all), new Retention(all), new Retention(all)];
    const queues = retentions.flatMap((retention) => Array.from({ length: 6 }, () => filled(retention)));
    expect(all.bytes).toBe(MAX_ALL_RETAINED_BYTES + (2 + 2 + 6) * LEAST_RETAINED_BYTES);
    queues[0]?.rewind(1_000);
    expect(all.bytes).toBe(MAX_ALL_RETAINED_BYTES - MAX_RETAINED_BYTES + (2 + 2 + 6) * LEAST_RETAINED_BYTES);
    queues[6]?.acknowledge(MAX_RETAINED_BYTES);
    expect(queues[17]?.roomBytes).toBe(MAX_RETAINED_BYTES - LEAST_RETAINED_BYTES);
    for (const queue of queues) queue.chargeTo(new Retention());
    expect([all.bytes, ...retentions.map(({ users }) => users)]).toEqual([0, 0, 0, 0]);
  });
});
