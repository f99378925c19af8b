import { describe, expect, test } from 'vitest';
import { present } from '#kernel/assert.ts';
import { Conduit } from '#mesh/conduit/conduit.ts';
import { encodeConduitOpen } from '#mesh/conduit/conduit-open.ts';
import { Retention } from '#mesh/conduit/retention.ts';
import { RetransmitQueue } from '#mesh/conduit/retransmit-queue.ts';
import { MAX_TOMBSTONES, MAX_TOMBSTONES_PER_OPENER, Tombstones } from '#mesh/conduit/tombstones.ts';
import { Detector } from '#mesh/detector/detector.ts';
import { FakeDetectors, fakeDetectorPorts, fakeKeys } from '#mesh/detector/fake-detectors.ts';
import { encodeFrame, encodeOpen, encodeReason, FrameType, StreamKind } from '#mesh/mux/frame.ts';
import { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import type { NetPlan } from '#mesh/node/net-plan.ts';
import { NodeNet } from '#mesh/node/node-net.ts';
import type { Stream, Tunnel } from '#mesh/node/tunnel.ts';
import {
  connect,
  cutRelay,
  handleOf,
  payload,
  relayOf,
  sha256,
  startDiamond,
  write,
} from '../../../tests/fixtures/diamond-net.ts';

function frames(frame: Uint8Array, count: number): Uint8Array {
  const all = new Uint8Array(frame.byteLength * count);
  for (let i = 0; i < count; i++) all.set(frame, i * frame.byteLength);
  return all;
}

/** The half of a circuit through `relay` that leads away from its opener, or the other one. */
function half(net: NodeNet, relay: string, neighbour: string, isOutbound: boolean): { tunnel: Tunnel; stream: Stream } {
  const { tunnel } = net.linkEnd(relay, neighbour);
  const isHalf = ({ owner }: Stream): boolean => owner?.kind === 'relay' && owner.isOutbound === isOutbound;
  return { tunnel, stream: present([...tunnel.mux.streams()].find(isHalf), 'a circuit') };
}

/** TLS that end-a began, over circuits. */
function handshakes(net: NodeNet): number {
  return net.at('end-a').of('secure').length;
}

/** What a peer did to its own multiplexer takes effect. */
function settle(net: NodeNet, at: string, tunnel: Tunnel): void {
  net.at(at).node.handleTunnelBytes(tunnel, new Uint8Array(), net.nowMs);
}

describe('a relay whose neighbour says DRAIN without end', () => {
  test('keeps its link to the opener of the circuit, also while that one does not read', () => {
    const net = startDiamond();
    const { near } = connect(net);
    const relay = relayOf(near);
    const away = half(net, relay, 'end-b', true);
    const towards = net.linkEnd(relay, 'end-a');
    towards.isFrozen = true;
    const flood = frames(encodeFrame(FrameType.drain, away.stream.id, encodeReason({ code: 'LINK_REPLACED' })), 3_000);
    for (let i = 0; i < 25; i++) {
      net.at(relay).node.handleTunnelBytes(away.tunnel, flood.slice(), net.nowMs);
      net.run(1);
    }
    net.thaw(towards);
    net.run(100);
    expect(net.at(relay).node.counters.get('tunnel-failed-CONTROL_BACKLOG')).toBe(0);
    expect(net.isLinked('end-a', relay)).toBe(true);
  });

  test('costs the openers of forty tunnels through it no more than eight handshakes a second', () => {
    const names = Array.from({ length: 40 }, (_, i) => `end-${i}`);
    const plan: NetPlan = {
      members: ['end-a', 'r1', ...names].map((name) => ({ name, relay: name === 'r1' })),
      links: ['end-a', ...names].map((name) => [name, 'r1'] as const),
      services: Object.fromEntries(names.map((name) => [`at-${name}`, [name]])),
    };
    const net = new NodeNet(plan, sha256);
    net.converge();
    for (const name of names) expect(net.open('end-a', `at-${name}`).state).toBe('open');
    net.run(2_000);
    const before = handshakes(net);
    const link = net.linkEnd('r1', 'end-a').tunnel;
    for (let i = 0; i < 50; i++) {
      for (const stream of link.mux.streams())
        if (stream.owner?.kind === 'relay') link.mux.drain(stream, { code: 'LINK_REPLACED' });
      settle(net, 'r1', link);
      net.run(100);
    }
    expect(handshakes(net) - before).toBeLessThanOrEqual(8 * 5 + 8);
  });
});

test('ways that are lost one after the other are left at once, four times, and then once a second', () => {
  const handle = new ConduitHandle(1, 'out', 'hello', 0, new Conduit('7'.repeat(32), 1));
  const atOnce = [0, 100, 200, 300, 400, 1_400, 1_500].map((nowMs) => handle.takeMove(nowMs));
  expect(atOnce).toEqual([true, true, true, true, false, true, false]);
});

describe('who lets go of a conduit as soon as it is carried', () => {
  test('by resets that say it moved: its opener comes back at a bounded pace', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    write(net, 'end-a', near, payload(1_000));
    net.run(100);
    const before = near.moveCount;
    for (let ms = 0; ms < 10_000; ms++) {
      const { tunnel, stream } = far;
      if (tunnel !== undefined && stream?.state === 'open' && near.isAttached) {
        tunnel.mux.reset(stream, { code: 'CONDUIT_MOVED' });
        settle(net, 'end-b', tunnel);
      }
      net.run(1);
    }
    expect(near.moveCount - before).toBeLessThanOrEqual(50);
  });

  test.each(['the target by GOAWAY', 'the only relay by resets of the circuit'])(
    '%s: handshakes follow at a bounded pace',
    (who) => {
      const net = startDiamond();
      const { near, far } = connect(net);
      const isRelay = who.startsWith('the only relay');
      if (isRelay) cutRelay(net, relayOf(near) === 'r1' ? 'r2' : 'r1');
      net.run(100);
      const before = handshakes(net);
      for (let ms = 0; ms < 5_000; ms++) {
        net.run(1);
        if (!near.isAttached || far.tunnel?.state !== 'up' || near.tunnel === undefined) continue;
        if (isRelay) {
          const { tunnel, stream } = half(net, relayOf(near), 'end-a', false);
          tunnel.mux.reset(stream, { code: 'CIRCUIT_RESET' });
          settle(net, relayOf(near), tunnel);
        } else {
          far.tunnel.mux.goAway({ code: 'TUNNEL_REPLACED' });
          settle(net, 'end-b', far.tunnel);
        }
      }
      expect(near.state).toBe('open');
      expect(handshakes(net) - before).toBeLessThanOrEqual(50);
    },
  );
});

describe('an opener', () => {
  test('gives up a stream whose OPEN nobody answers', () => {
    const net = startDiamond();
    net.at('end-b').handleIncoming = (): void => {};
    const near = handleOf(net.at('end-a').node.streams.open('hello', net.nowMs));
    net.run(120_000);
    expect(near.state).toBe('closed');
  });

  test('whose streams the target aborts, and who was told, has none of them remembered against it after 20 s', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    const kept = handleOf(net.open('end-a', 'other'));
    const { id, incarnation } = near.conduit;
    net.at('end-b').node.streams.reset(far, { code: 'STREAM_ABORTED' });
    net.run(20_000);
    expect([near.state, kept.state]).toEqual(['closed', 'open']);
    const other = handleOf(net.incoming('end-b'));
    const body = encodeConduitOpen({ id, attempt: 9, incarnation, service: 'hello' });
    const frame = encodeFrame(
      FrameType.open,
      present(other.stream, 'a stream').id + 2_000,
      encodeOpen(StreamKind.conduit, 65_536, body),
    );
    net.at('end-b').node.handleTunnelBytes(present(other.tunnel, 'a tunnel'), frame, net.nowMs);
    expect(net.at('end-b').node.counters.get('stream-refused-STREAM_ABORTED')).toBe(0);
  });

  test('is not kept from opening by others who fill all tombstones', () => {
    const tombstones = new Tombstones();
    for (let i = 0; i < MAX_TOMBSTONES; i++)
      tombstones.add(`mal-${Math.floor(i / MAX_TOMBSTONES_PER_OPENER)}`, `${i}`, { code: 'STREAM_ABORTED' }, 0);
    expect(tombstones.isFull('mal-0')).toBe(true);
    expect(tombstones.isFull('end-a')).toBe(false);
  });
});

describe('a receiver that grants one byte at a time and acknowledges nothing', () => {
  test('makes its sender keep few pieces', () => {
    const queue = new RetransmitQueue();
    queue.chargeTo(new Retention());
    queue.push(payload(60_000));
    for (let i = 0; i < 60_000; i++) queue.take(1, []);
    expect(queue.sent).toBe(60_000);
    expect(queue.heldPieces).toBeLessThanOrEqual(64);
    queue.rewind(7);
    const again: Uint8Array[] = [];
    queue.take(59_993, again);
    expect(Buffer.concat(again).equals(payload(60_000).subarray(7))).toBe(true);
  });
});

describe('ways that change', () => {
  test('while every relay drains, costs that swing move no stream without hysteresis', () => {
    const net = startDiamond();
    const { near } = connect(net);
    for (const relay of ['r1', 'r2']) net.at(relay).node.setDraining(true, net.nowMs);
    net.run(3_000);
    const before = near.moveCount;
    for (let i = 0; i < 20; i++) {
      for (const relay of ['r1', 'r2']) {
        const measured = { rttMs: (relay === 'r1') === (i % 2 === 0) ? 200 : 1, jitterMs: 0, lossRatio: 0 };
        for (const end of ['end-a', 'end-b']) {
          net.at(end).node.handleLinkMeasured(relay, measured, net.nowMs);
          net.at(relay).node.handleLinkMeasured(end, measured, net.nowMs);
        }
      }
      net.run(1_500);
    }
    expect(near.moveCount - before).toBeLessThanOrEqual(3);
  });

  test('a thousand times under a target that does not read: it gets no more than before, and every byte in the end', () => {
    const net = startDiamond();
    const { near, far } = connect(net);
    net.at('end-b').isReading = false;
    const [up, down] = [payload(1_000_000, 1), payload(200_000, 2)];
    write(net, 'end-a', near, up);
    net.run(500);
    write(net, 'end-b', far, down);
    const before = net.at('end-b').got(far).byteLength;
    const { node } = net.at('end-a');
    for (let move = 0; move < 1_000; move++) {
      // Straight back to where it was: the same way, another stream.
      const tunnel = present(near.tunnel, 'a tunnel');
      tunnel.mux.reset(present(near.stream, 'a stream'), { code: 'CONDUIT_MOVED' });
      node.streams.handleEnded(near, present(near.stream, 'a stream'), { code: 'CONDUIT_MOVED' }, true);
      net.runUntil(() => near.isAttached);
      net.run(10);
    }
    expect(near.moveCount).toBe(1_000);
    expect(net.at('end-b').got(far).byteLength).toBeLessThanOrEqual(before + 65_536);
    net.at('end-b').isReading = true;
    net.at('end-b').node.streams.consume(far, net.at('end-b').got(far).byteLength, net.nowMs);
    net.run(5_000);
    expect(net.at('end-b').got(far)).toEqual(up);
    expect(net.at('end-a').got(near)).toEqual(down);
  });
});

describe('probes that are replayed', () => {
  test('are refused before their tag is computed', () => {
    let verified = 0;
    const pair = new FakeDetectors();
    pair.watch();
    pair.run(500);
    const genuine = present(
      pair.sent.find(({ from }) => from === 'a'),
      'a probe',
    ).bytes;
    const ports = fakeDetectorPorts();
    const victim = new Detector<string>(
      {
        ...ports,
        verify: (key, bytes, tag) => {
          verified++;
          return ports.verify(key, bytes, tag);
        },
      },
      { intervalMs: 100, multiplier: 3 },
      0,
    );
    victim.watch({ id: 1, keys: fakeKeys('b'), to: undefined }, 0);
    for (let i = 0; i < 1_000; i++) victim.handleProbe(genuine, i % 2 === 0 ? 'a' : 'elsewhere', i);
    expect(victim.counters.get('probe-refused-stale')).toBe(999);
    expect(verified).toBe(1);
  });
});
