import { describe, expect, test } from 'vitest';
import { present } from '#kernel/assert.ts';
import { encodeConduitAttach, encodeConduitOpen } from '#mesh/conduit/conduit-open.ts';
import { encodeAck, encodeFrame, FrameType, StreamKind } from '#mesh/mux/frame.ts';
import { NodeNet } from '#mesh/node/node-net.ts';
import type { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import {
  connect,
  DIAMOND,
  cutRelay,
  handleOf,
  payload,
  relayOf,
  sha256,
  startDiamond,
  write,
} from '../../../tests/fixtures/diamond-net.ts';

/** Sends an OPEN to end-b over end-a's tunnel, as a peer that breaks the rules; resolves the refusal. */
function offer(net: NodeNet, near: ConduitHandle, kind: StreamKind, body: Uint8Array): string | undefined {
  const stranger = handleOf(net.at('end-a').node.streams.conduits.open('nothing-such', net.nowMs));
  const opened = present(near.tunnel, 'a tunnel').mux.open(kind, body, stranger, 'local');
  if (!opened.ok) throw new Error(opened.error);
  const counters = net.at('end-b').node.counters;
  const before = new Map(Object.entries(counters.toJSON()));
  net.at('end-a').node.ping('end-b', 1, net.nowMs);
  net.run(100);
  const changed = Object.entries(counters.toJSON()).filter(
    ([name, count]) => name.startsWith('stream-refused-') && count !== before.get(name),
  );
  return changed[0]?.[0].replace('stream-refused-', '');
}

test('an instance that refuses, for whatever reason, gives way to the next; the last refusal is what the caller hears', () => {
  const net = new NodeNet({ ...DIAMOND, services: { hello: ['end-b', 'end-c'] } }, sha256);
  net.converge();
  const [nearest, other] = net.at('end-a').node.streams.instances('hello');
  const refuse = (node: string, code: string): void => {
    net.at(node).handleIncoming = (stream) => net.at(node).node.streams.refuse(stream, { code });
  };
  refuse(present(nearest, 'an instance'), 'TARGET_REFUSED');
  const served = net.open('end-a', 'hello');
  expect([served.state, served.peer]).toEqual(['open', other]);
  refuse(present(other, 'another'), 'TARGET_NOT_ALLOWED');
  const refused = net.open('end-a', 'hello');
  expect([refused.state, refused.endReason]).toEqual(['closed', { code: 'TARGET_NOT_ALLOWED', hop: other }]);
});

test('a stream whose target answers while its way is lost has not moved when it comes up by another', () => {
  const net = startDiamond();
  const { near: first } = connect(net);
  net.at('end-b').handleIncoming = () => undefined;
  const near = handleOf(net.at('end-a').node.streams.open('hello', net.nowMs));
  net.run(50);
  const far = handleOf(net.incoming('end-b'));
  expect([near.state, far.state]).toEqual(['opening', 'opening']);
  cutRelay(net, relayOf(first));
  net.runUntil(() => far.stream === undefined);
  net.at('end-b').node.streams.accept(far);
  net.run(2_000);
  expect([near.state, far.state, near.moveCount, far.moveCount]).toEqual(['open', 'open', 0, 0]);
});

test('a way that is lost at the same moment as the next one is left for a third at once', () => {
  const links = ['r1', 'r2', 'r3'].flatMap((relay): [string, string][] => [
    ['end-a', relay],
    ['end-b', relay],
  ]);
  const members = ['end-a', 'end-b', 'r1', 'r2', 'r3'].map((name) => ({ name, relay: name.startsWith('r') }));
  const net = new NodeNet({ members, links, services: { hello: ['end-b'] } }, sha256);
  net.converge();
  const { near } = connect(net);
  net.run(3_000);
  const lost = net
    .at('end-a')
    .node.tunnels()
    .flatMap(({ peer, via, hops }) => (peer.name === 'end-b' && via === 'circuit' ? hops.slice(0, 1) : []));
  expect(lost).toHaveLength(2);
  for (const relay of lost) cutRelay(net, relay);
  net.runUntil(() => near.moveCount > 0, 5_000);
  expect(lost).not.toContain(relayOf(near));
  expect(near.moves.at(-1)?.gapMs).toBeLessThan(40);
  expect(net.at('end-a').node.counters.get('attach-failed-PATH_LOST')).toBe(1);
});

describe('a conduit', () => {
  test('goes on through another relay when its own dies, both ways, without a lost or repeated byte', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    const [up, down] = [payload(900_000, 1), payload(700_000, 2)];
    write(net, 'end-a', near, up);
    write(net, 'end-b', far, down);
    net.run(3);
    const first = relayOf(near);
    const received = net.at('end-b').got(far).byteLength;
    expect(received).toBeGreaterThan(0);
    expect(received).toBeLessThan(up.byteLength);
    cutRelay(net, first);
    net.run(2_000);
    expect(net.at('end-b').got(far)).toEqual(up);
    expect(net.at('end-a').got(near)).toEqual(down);
    expect(relayOf(near)).not.toBe(first);
    expect(near.moves).toHaveLength(1);
    expect(near.moves[0]).toMatchObject({ from: [first, 'end-b'], to: [relayOf(near), 'end-b'] });
    expect(near.moves[0]?.gapMs).toBeLessThan(100);
    expect(far.moveCount).toBe(1);
  });

  test('that nobody reads goes on with the window it had, however often it moves', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    net.at('end-b').isReading = false;
    const bytes = payload(3_000_000);
    write(net, 'end-a', near, bytes);
    net.run(500);
    const before = net.at('end-b').got(far).byteLength;
    for (let move = 0; move < 5; move++) {
      const relay = relayOf(near);
      cutRelay(net, relay);
      net.run(2_000);
      net.at(relay).isAway = false;
      net.runUntil(() => net.isLinked('end-a', relay) && net.isLinked('end-b', relay));
      net.run(2_000);
    }
    expect(near.moveCount).toBe(5);
    expect(net.at('end-b').got(far).byteLength - before).toBeLessThanOrEqual(65_536);
    net.at('end-b').isReading = true;
    net.at('end-b').node.streams.consume(far, net.at('end-b').got(far).byteLength, net.nowMs);
    net.run(3_000);
    expect(net.at('end-b').got(far)).toEqual(bytes);
  });

  test('whose ends finished while it was detached ends in good order on both sides', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    write(net, 'end-a', near, payload(200_000));
    net.run(2);
    cutRelay(net, 'r1');
    cutRelay(net, 'r2');
    net.at('end-a').node.streams.finish(near, net.nowMs);
    net.at('end-b').node.streams.finish(far, net.nowMs);
    net.run(1_000);
    expect(near.state).toBe('open');
    net.at('r2').isAway = false;
    net.run(20_000);
    expect(net.at('end-b').got(far)).toEqual(payload(200_000));
    for (const [name, stream] of [
      ['end-a', near],
      ['end-b', far],
    ] as const) {
      expect(
        net
          .at(name)
          .of('end')
          .filter((output) => output.stream === stream),
      ).toHaveLength(1);
      expect(stream).toMatchObject({ state: 'closed', endReason: undefined });
    }
  });

  test('that was reset while it was detached is reset at the other end once there is a way', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    cutRelay(net, 'r1');
    cutRelay(net, 'r2');
    net.run(200);
    net.at('end-b').node.streams.reset(far, { code: 'STREAM_ABORTED' });
    net.at('r2').isAway = false;
    net.run(20_000);
    expect(near.endReason).toMatchObject({ code: 'STREAM_ABORTED', hop: 'end-b' });
  });

  test('ends by name when there is no other way for a minute', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    cutRelay(net, 'r1');
    cutRelay(net, 'r2');
    net.run(58_000);
    expect(near.state).toBe('open');
    net.run(4_000);
    expect(near.endReason?.code).toBe('CONDUIT_LOST');
    expect(far.endReason?.code).toBe('CONDUIT_LOST');
    expect(
      net
        .at('end-a')
        .of('reset')
        .filter(({ stream }) => stream === near)
        .map(({ reason }) => reason.code),
    ).toEqual(['CONDUIT_LOST']);
  });

  test('is not dialled again at a destination that started anew', () => {
    const net = startDiamond();
    const { near } = connect(net);
    net.cut('end-b', 'r1');
    net.cut('end-b', 'r2');
    net.run(1);
    net.start('end-b');
    net.run(20_000);
    expect(near.endReason?.code).toBe('CONDUIT_UNKNOWN');
    expect(net.at('end-b').of('incoming')).toEqual([]);
  });

  test('is opened once, however often its OPEN is sent again', () => {
    const net = startDiamond();
    net.at('end-b').handleIncoming = () => {};
    const near = handleOf(net.at('end-a').node.streams.open('hello', net.nowMs));
    net.runUntil(() => net.at('end-b').of('incoming').length === 1);
    cutRelay(net, relayOf(near));
    net.run(2_000);
    expect(near.state).toBe('opening');
    const far = handleOf(net.incoming('end-b'));
    net.at('end-b').node.streams.accept(far);
    net.run(100);
    expect(near.state).toBe('open');
    expect(net.at('end-b').of('incoming')).toHaveLength(1);
    write(net, 'end-a', near, payload(1_000));
    net.run(100);
    expect(net.at('end-b').got(far)).toEqual(payload(1_000));
  });

  test('moves off a tunnel that drains while the old way still carries', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    const bytes = payload(2_000_000);
    write(net, 'end-a', near, bytes);
    net.run(2);
    const tunnel = present(near.tunnel, 'a tunnel');
    tunnel.mux.goAway({ code: 'TUNNEL_KEY_LIMIT' });
    net.at('end-b').node.streams.send(far, payload(10), net.nowMs);
    net.run(1_500);
    expect(net.at('end-b').got(far)).toEqual(bytes);
  });
});

describe('a conduit refuses', () => {
  test('an unknown id, a stale attempt, and offsets that never were, without effect on the stream', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    write(net, 'end-a', near, payload(1_000));
    write(net, 'end-b', far, payload(500));
    net.run(1_000);
    const { id } = near.conduit;
    const base = { id, attempt: 9, received: 500, fin: false };
    const attach = StreamKind.attach;
    expect(offer(net, near, attach, encodeConduitAttach({ ...base, id: '0'.repeat(32) }))).toBe('CONDUIT_UNKNOWN');
    expect(offer(net, near, attach, encodeConduitAttach({ ...base, attempt: 1 }))).toBe('CONDUIT_STALE_ATTEMPT');
    expect(offer(net, near, attach, encodeConduitAttach({ ...base, received: 501 }))).toBe('CONDUIT_BAD_OFFSET');
    expect(offer(net, near, attach, encodeConduitAttach({ ...base, received: 499 }))).toBe('CONDUIT_BAD_OFFSET');
    expect(offer(net, near, attach, encodeConduitAttach({ ...base, fin: true }))).toBe('CONDUIT_BAD_OFFSET');
    const wrong = { id: '1'.repeat(32), attempt: 1, incarnation: 1, service: 'hello' };
    expect(offer(net, near, StreamKind.conduit, encodeConduitOpen(wrong))).toBe('CONDUIT_INCARNATION');
    expect(far.state).toBe('open');
    expect(net.at('end-b').of('incoming')).toHaveLength(1);
  });

  test('acknowledgements of bytes that were never sent: the tunnel ends, the stream goes on', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    const tunnel = present(near.tunnel, 'a tunnel');
    const stream = present(near.stream, 'a stream');
    const ack = encodeFrame(FrameType.ack, stream.id, encodeAck({ received: 77, fin: false, done: false }));
    net.at('end-a').node.handleTunnelBytes(tunnel, ack, net.nowMs);
    net.run(2_000);
    expect(net.at('end-a').node.counters.get('tunnel-ended-ACK_BEYOND_SENT')).toBe(1);
    write(net, 'end-a', near, payload(100));
    net.run(100);
    expect(net.at('end-b').got(far)).toEqual(payload(100));
  });

  test('another member that has learned its id', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    const thief = handleOf(net.open('end-c', 'hello'));
    const attach = encodeConduitAttach({ id: near.conduit.id, attempt: 9, received: 0, fin: false });
    present(thief.tunnel, 'a tunnel').mux.open(StreamKind.attach, attach, thief, 'local');
    net.at('end-c').node.ping('end-b', 1, net.nowMs);
    net.run(100);
    expect(net.at('end-b').node.counters.get('stream-refused-CONDUIT_UNKNOWN')).toBe(1);
    write(net, 'end-a', near, payload(1_000));
    net.run(100);
    expect(net.at('end-b').got(far)).toEqual(payload(1_000));
  });

  test('a second life: what ended is not dialled again', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    const { id, incarnation } = near.conduit;
    const tunnel = present(near.tunnel, 'a tunnel');
    net.at('end-b').node.streams.reset(far, { code: 'STREAM_ABORTED' });
    net.run(100);
    const other = connect(net).near;
    expect(other.tunnel).toBe(tunnel);
    const again = { id, incarnation, attempt: 2, service: 'hello' };
    expect(offer(net, other, StreamKind.conduit, encodeConduitOpen(again))).toBe('STREAM_ABORTED');
    expect(net.at('end-b').of('incoming')).toHaveLength(2);
  });
});
