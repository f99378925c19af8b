import { expect, test } from 'vitest';
import { Drain } from '#mesh/node/drain.ts';

const IDLE = { circuits: 0, streams: 0 };

test('an idle node stops once everybody has heard of it, without the rest of its grace time', () => {
  const drain = new Drain(30_000, 0);
  expect(drain.decide(IDLE, 999)).toBe('wait');
  expect(drain.decide(IDLE, 1_000)).toBe('end-streams');
  expect(drain.decide(IDLE, 1_249)).toBe('wait');
  expect(drain.decide(IDLE, 1_250)).toBe('stop');
});

test('circuits of others and own streams have the grace time, and no more', () => {
  const drain = new Drain(30_000, 0);
  expect(drain.decide({ circuits: 1, streams: 0 }, 29_999)).toBe('wait');
  expect(drain.decide({ circuits: 0, streams: 1 }, 29_999)).toBe('wait');
  expect(drain.decide({ circuits: 1, streams: 1 }, 30_000)).toBe('end-streams');
  expect(drain.isEnding).toBe(true);
});

test('a grace time of nothing ends at once; a new one counts from then', () => {
  expect(new Drain(0, 0).decide({ circuits: 9, streams: 9 }, 0)).toBe('end-streams');
  const drain = new Drain(1_000, 0);
  drain.renew(5_000, 900);
  expect(drain.leftMs(1_900)).toBe(4_000);
  expect(drain.decide({ circuits: 1, streams: 0 }, 5_899)).toBe('wait');
  expect(drain.decide({ circuits: 1, streams: 0 }, 5_900)).toBe('end-streams');
});
