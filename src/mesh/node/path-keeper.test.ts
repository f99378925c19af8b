import { describe, expect, test } from 'vitest';
import { EndToEnd } from '#mesh/node/end-to-end.ts';
import { PathKeeper } from '#mesh/node/path-keeper.ts';
import type { LocalStream } from '#mesh/node/tunnel.ts';
import { Graph } from '#topology/graph.ts';
import type { PathPair } from '#topology/paths.ts';

const SWEEP_MS = 125;

/** A keeper whose tunnels never come up; `begun` counts what it starts to build. */
function keeperOf(destinations: number, way: (to: string) => PathPair) {
  let begun = 0;
  let nowMs = 0;
  const endToEnd = new EndToEnd({
    link: () => {
      begun++;
      return undefined;
    },
    path: way,
    newCircuit: (): LocalStream => {
      throw new Error('there is no link to open it on');
    },
    abandon: () => {},
    emit: () => {},
    touch: () => {},
    drain: () => {},
  });
  const names = Array.from({ length: destinations }, (_, index) => `node-${index}`);
  const keeper = new PathKeeper(
    {
      self: 'self',
      endToEnd,
      graph: () => new Graph(),
      path: way,
      link: () => undefined,
      destinations: () => names,
      move: () => {},
    },
    0,
  );
  return {
    /** What was begun in each second. */
    run: (seconds: number): number[] =>
      Array.from({ length: seconds }, () => {
        begun = 0;
        for (const endMs = nowMs + 1_000; nowMs < endMs; nowMs += SWEEP_MS) {
          keeper.handleDeadline(nowMs);
          endToEnd.handleDeadline(nowMs);
        }
        return begun;
      }),
    nowMs: () => nowMs,
  };
}

function pairBy(relays: readonly [string, string]): (to: string) => PathPair {
  return (to) => ({
    primary: { hops: [relays[0], to], cost: 10 },
    backup: { hops: [relays[1], to], cost: 20 },
    protected: true,
  });
}

describe('standing tunnels', () => {
  test('to 500 destinations in use, none of which comes up, are begun at eight a second', () => {
    const seconds = keeperOf(500, pairBy(['r1', 'r2'])).run(30);
    expect(Math.min(...seconds)).toBeGreaterThanOrEqual(4);
    expect(Math.max(...seconds)).toBeLessThanOrEqual(16);
    expect(seconds.reduce((sum, begun) => sum + begun, 0)).toBeLessThanOrEqual(8 * 30 + 8);
  });

  test('are begun at eight a second also while every path flaps five times a second', () => {
    const flapping: { nowMs: () => number } = { nowMs: () => 0 };
    const keeper = keeperOf(100, (to) => {
      const isOdd = Math.floor(flapping.nowMs() / 200) % 2 === 1;
      return pairBy(isOdd ? ['r3', 'r4'] : ['r1', 'r2'])(to);
    });
    flapping.nowMs = keeper.nowMs;
    const total = keeper.run(30).reduce((sum, begun) => sum + begun, 0);
    expect(total).toBeGreaterThanOrEqual(4 * 30);
    expect(total).toBeLessThanOrEqual(8 * 30 + 8);
  });
});
