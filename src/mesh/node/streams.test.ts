import { describe, expect, test } from 'vitest';
import { present } from '#kernel/assert.ts';
import { asciiBytes, bytesEqual } from '#kernel/bytes.ts';
import { SeededRandom } from '#kernel/random.ts';
import { FIRST_WINDOW_BYTES } from '#mesh/mux/window-pool.ts';
import { DIAMOND } from '../../../tests/fixtures/diamond-net.ts';
import { CHAIN, PAIR, meshOf, write } from '../../../tests/fixtures/small-nets.ts';

describe.each([
  ['one link', PAIR, ['end-b']],
  ['one relay', DIAMOND, undefined],
  ['two relays', CHAIN, ['r1', 'r2', 'end-b']],
] as const)('over %s', (_label, plan, hops) => {
  test('a stream opens, carries bytes both ways and ends each way by itself', () => {
    const net = meshOf(plan);
    const near = net.open('end-a', 'hello');
    expect(near.state).toBe('open');
    expect(near.hops).toEqual(hops ?? near.hops);
    const far = net.incoming('end-b');
    expect(net.at('end-b').of('incoming')[0]?.caller.name).toBe('end-a');
    write(net, 'end-a', near, asciiBytes('question'));
    net.at('end-a').node.streams.finish(near, net.nowMs);
    net.run(100);
    expect(net.at('end-b').got(far)).toEqual(asciiBytes('question'));
    expect(
      net
        .at('end-b')
        .of('end')
        .map(({ stream }) => stream),
    ).toContain(far);
    write(net, 'end-b', far, asciiBytes('a long answer after the question has ended'));
    net.at('end-b').node.streams.finish(far, net.nowMs);
    net.run(100);
    expect(net.at('end-a').got(near)).toEqual(asciiBytes('a long answer after the question has ended'));
    expect([near.state, far.state]).toEqual(['closed', 'closed']);
    expect([near.endReason, far.endReason]).toEqual([undefined, undefined]);
  });

  test('three megabytes arrive as they were sent', () => {
    const net = meshOf(plan);
    const near = net.open('end-a', 'hello');
    const bytes = new SeededRandom(3).bytes(3_000_000);
    write(net, 'end-a', near, bytes);
    net.at('end-a').node.streams.finish(near, net.nowMs);
    net.run(5_000);
    expect(bytesEqual(net.at('end-b').got(net.incoming('end-b')), bytes)).toBe(true);
  });

  test('an unknown service, one that is not there, and a target that refuses, each say so', () => {
    const net = meshOf(plan);
    const unknown = net.open('end-a', 'nothing');
    expect(unknown.endReason).toEqual({ code: 'SERVICE_UNKNOWN' });
    net.at('end-b').handleIncoming = (stream) =>
      net.at('end-b').node.streams.refuse(stream, { code: 'TARGET_REFUSED' });
    const refused = net.open('end-a', 'hello');
    expect(refused.endReason).toEqual({ code: 'TARGET_REFUSED', hop: 'end-b' });
    expect(net.at('end-b').node.counters.get('stream-refused-TARGET_REFUSED')).toBe(1);
    expect(net.at('end-a').node.streams.list()).toEqual([]);
    expect(net.at('end-b').node.streams.list()).toEqual([]);
  });

  test('a reset tells the other end the code', () => {
    const net = meshOf(plan);
    const near = net.open('end-a', 'hello');
    const far = net.incoming('end-b');
    net.at('end-a').node.streams.reset(near, { code: 'STREAM_ABORTED' });
    net.run(100);
    expect(net.at('end-b').of('reset').at(-1)).toMatchObject({ stream: far, reason: { code: 'STREAM_ABORTED' } });
    expect(far.state).toBe('closed');
  });

  test('a reader that never reads holds its writer up at one window, and a sibling passes it', () => {
    const net = meshOf(plan);
    net.at('end-b').isReading = false;
    const stalled = net.open('end-a', 'hello');
    const stalledFar = net.incoming('end-b');
    write(net, 'end-a', stalled, new Uint8Array(1_000_000));
    net.run(2_000);
    expect(net.at('end-b').got(stalledFar).byteLength).toBe(FIRST_WINDOW_BYTES);
    net.at('end-b').isReading = true;
    const sibling = net.open('end-a', 'hello');
    write(net, 'end-a', sibling, new Uint8Array(500_000));
    net.run(2_000);
    expect(net.at('end-b').got(net.incoming('end-b')).byteLength).toBe(500_000);
  });

  test('a ping measures the round trip', () => {
    const net = meshOf(plan);
    net.at('end-a').node.ping('end-b', 7, net.nowMs);
    net.run(1_000);
    const [pong] = net.at('end-a').of('pong');
    expect(pong?.token).toBe(7);
    expect(pong?.rttMs).toBeGreaterThanOrEqual(
      2 * present(net.at('end-a').node.tunnelTo('end-b'), 'a tunnel').hops.length,
    );
    net.at('end-a').node.ping('nobody', 8, net.nowMs);
    net.run();
    expect(net.at('end-a').of('ping-failed')).toEqual([{ kind: 'ping-failed', token: 8, reason: { code: 'NO_PATH' } }]);
  });
});
