import { describe, expect, test } from 'vitest';
import { FIRST_WINDOW_BYTES, SCARCE_WINDOW_BYTES, WindowPool, type PeerWindows } from '#mesh/mux/window-pool.ts';

const LIMIT_BYTES = 64 * FIRST_WINDOW_BYTES;

function takeAll(windows: PeerWindows): number {
  let taken = 0;
  for (let bytes = windows.reserveOffered(); bytes > 0; bytes = windows.reserveOffered()) taken += bytes;
  return taken;
}

describe('the pool of windows', () => {
  test('lets one peer hold at most half of it, over all its tunnels', () => {
    const pool = new WindowPool(LIMIT_BYTES);
    const [first, second] = [pool.windowsOf('mal'), pool.windowsOf('mal')];
    const taken = takeAll(first) + takeAll(second);
    expect(taken).toBe(LIMIT_BYTES / 2);
    expect(pool.windowsOf('rome').reserveOffered()).toBe(SCARCE_WINDOW_BYTES);
  });

  test('keeps its last eighth for the streams that this node opens', () => {
    const pool = new WindowPool(LIMIT_BYTES);
    for (const peer of ['a', 'b', 'c']) takeAll(pool.windowsOf(peer));
    expect(pool.reservedBytes).toBe((LIMIT_BYTES * 7) / 8);
    expect(pool.windowsOf('a').grow(1)).toBe(false);
    expect(pool.windowsOf('a').reserveOpened()).toBe(SCARCE_WINDOW_BYTES);
  });

  test('gives first windows of full size while there is room, and gets all back', () => {
    const pool = new WindowPool(LIMIT_BYTES);
    const windows = pool.windowsOf('a');
    expect(windows.reserveOffered()).toBe(FIRST_WINDOW_BYTES);
    expect(windows.grow(FIRST_WINDOW_BYTES)).toBe(true);
    windows.release({ offeredBytes: FIRST_WINDOW_BYTES, openedBytes: 0, grownBytes: FIRST_WINDOW_BYTES });
    expect(pool.reservedBytes).toBe(0);
    expect(takeAll(windows)).toBe(LIMIT_BYTES / 2);
  });

  test('lets the growth of one peer take as much as it leaves free, and each step an eighth of what is left', () => {
    const pool = new WindowPool(LIMIT_BYTES);
    const windows = pool.windowsOf('a');
    const sharedBytes = (LIMIT_BYTES * 7) / 8;
    expect(windows.grow(sharedBytes / 8 + 1)).toBe(false);
    let grownBytes = 0;
    for (let stepBytes = sharedBytes / 8; stepBytes >= 1; stepBytes /= 2)
      while (windows.grow(stepBytes)) grownBytes += stepBytes;
    expect(grownBytes).toBeGreaterThan(sharedBytes * 0.45);
    expect(grownBytes).toBeLessThanOrEqual(sharedBytes / 2);
    expect(pool.windowsOf('a').grow(FIRST_WINDOW_BYTES)).toBe(false);
    expect(pool.windowsOf('b').grow(FIRST_WINDOW_BYTES)).toBe(true);
  });
});
