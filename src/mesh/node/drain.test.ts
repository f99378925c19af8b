import { expect, test } from 'vitest';
import { Drain } from '#mesh/node/drain.ts';
import { connect, payload, relayOf, startDiamond, write } from '../../../tests/fixtures/diamond-net.ts';

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

test('a relay that drains is soon free of circuits, and the stream through it goes on by the other without a lost byte', () => {
  const net = startDiamond();
  const { near, far } = connect(net);
  net.run(2_000);
  const relay = relayOf(near);
  const bytes = payload(2_000_000);
  write(net, 'end-a', near, bytes);
  net.run(3);
  net.at(relay).node.setDraining(true, net.nowMs);
  expect(net.at(relay).node.circuitCount).toBe(1);
  net.run(1_500);
  expect(net.at(relay).node.circuitCount).toBe(0);
  expect(net.at('end-b').got(far)).toEqual(bytes);
  expect(near.moves).toMatchObject([{ from: [relay, 'end-b'], reason: 'PATH_DRAINING' }]);
  expect(near.moves[0]?.gapMs).toBeLessThan(20);
});
