import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesEqual, concatBytes } from '#kernel/bytes.ts';
import { SeededRandom } from '#kernel/random.ts';
import { RetransmitQueue } from '#mesh/conduit/retransmit-queue.ts';

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
});
