import { describe, expect, test } from 'vitest';
import { NodeNet } from '#mesh/node/node-net.ts';
import type { Denial, StreamPolicy } from '#mesh/node/stream-policy.ts';
import { cutRelay, DIAMOND, handleOf, relayOf, sha256 } from '../../../tests/fixtures/diamond-net.ts';

const DECISION = 'ab'.repeat(16);
const DENIED = { code: 'POLICY_DENIED', decision: DECISION };

/** Answers as it is told, and counts who asks. */
class TestPolicy implements StreamPolicy {
  isDenied: (asked: number) => boolean = () => false;
  asked = 0;
  /** Decisions that fit into one slice. */
  sliceCount = 1_000_000;
  #epoch = '';

  denialOf(): Denial | undefined {
    return this.isDenied(++this.asked) ? DENIED : undefined;
  }

  change(isDenied: (asked: number) => boolean): void {
    this.asked = 0;
    this.isDenied = isDenied;
    this.#epoch += '.';
  }

  epoch(): string {
    return this.#epoch;
  }

  startSlice(): () => boolean {
    let count = 0;
    return () => ++count >= this.sliceCount;
  }
}

function startNet(policy: StreamPolicy): NodeNet {
  const net = new NodeNet({ ...DIAMOND, services: { hello: ['end-b'] }, policy }, sha256);
  net.converge();
  return net;
}

describe('a stream that the policy denies', () => {
  test('is refused where it begins, with the decision, and asks nobody else', () => {
    const policy = new TestPolicy();
    const net = startNet(policy);
    policy.change(() => true);
    const local = net.open('end-a', 'hello');
    expect([local.state, local.endReason]).toEqual(['closed', { ...DENIED, hop: 'end-a' }]);
    expect(net.at('end-b').of('incoming')).toEqual([]);
  });

  test('is refused where it ends, whatever the opener thinks, before its target is connected', () => {
    const policy = new TestPolicy();
    const net = startNet(policy);
    policy.change((asked) => asked > 1);
    const local = net.open('end-a', 'hello');
    expect([local.state, local.endReason]).toEqual(['closed', { ...DENIED, hop: 'end-b' }]);
    expect(net.at('end-b').of('incoming')).toEqual([]);
  });

  test('is ended at both ends when the policy changes, and each says by which decision', () => {
    const policy = new TestPolicy();
    const net = startNet(policy);
    const local = net.open('end-a', 'hello');
    const far = net.incoming('end-b');
    policy.change(() => true);
    net.run(1_000);
    expect([local.endReason, far.endReason]).toMatchObject([DENIED, DENIED]);
    expect(net.at('end-b').of('reset')).toMatchObject([{ stream: far, reason: DENIED }]);
    expect(net.at('end-a').of('reset')).toMatchObject([{ stream: local, reason: DENIED }]);
  });

  test('is not carried on by another way, although nothing was decided again yet', () => {
    const policy = new TestPolicy();
    const net = startNet(policy);
    const local = handleOf(net.open('end-a', 'hello'));
    policy.isDenied = () => true;
    cutRelay(net, relayOf(local));
    net.run(5_000);
    expect(local.endReason).toMatchObject(DENIED);
  });

  test('was ended while nothing carried it, and its opener is told the decision when it comes back', () => {
    const policy = new TestPolicy();
    const net = startNet(policy);
    const local = handleOf(net.open('end-a', 'hello'));
    const far = handleOf(net.incoming('end-b'));
    const [before, by] = [relayOf(local), ['r1', 'r2']];
    for (const relay of by) net.at(relay).isAway = true;
    for (const relay of by) for (const end of ['end-a', 'end-b']) if (net.isLinked(end, relay)) net.cut(end, relay);
    net.run(1_000);
    expect([local.isAttached, far.isAttached]).toEqual([false, false]);
    // The opener does not know of the change.
    net.at('end-b').node.streams.abandon(far, DENIED);
    for (const relay of by) net.at(relay).isAway = false;
    net.run(20_000);
    expect([before === '', local.endReason]).toMatchObject([false, DENIED]);
    expect(policy.isDenied(1)).toBe(false);
  });

  test('is one of many that are decided again as many at a time as the policy has time for, and all are', () => {
    const policy = new TestPolicy();
    const net = startNet(policy);
    const streams = Array.from({ length: 100 }, () => net.open('end-a', 'hello'));
    policy.sliceCount = 7;
    policy.change(() => false);
    const sweep = net.at('end-a').node.streams.conduits.policy;
    sweep.check(net.wallMs);
    sweep.handleTurn();
    expect([policy.asked, sweep.isPending]).toEqual([7, true]);
    net.run(1_000);
    expect(streams.every(({ state }) => state === 'open')).toBe(true);
    expect(policy.asked).toBe(2 * streams.length);
  });

  test('is decided also where the policy never has time', () => {
    const policy = new TestPolicy();
    const net = startNet(policy);
    const local = net.open('end-a', 'hello');
    policy.sliceCount = 0;
    policy.change(() => true);
    net.run(1_000);
    expect(local.endReason).toMatchObject(DENIED);
  });
});
