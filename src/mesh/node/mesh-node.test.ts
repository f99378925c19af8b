import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { present } from '#kernel/assert.ts';
import { asciiBytes, bytesEqual, concatBytes } from '#kernel/bytes.ts';
import { SeededRandom } from '#kernel/random.ts';
import { encodeFrame, encodeOpen, FrameType, StreamKind } from '#mesh/mux/frame.ts';
import { NodeNet } from '#mesh/node/node-net.ts';
import type { LocalStream } from '#mesh/node/tunnel.ts';
import { sha256 } from '../../../tests/fixtures/diamond-net.ts';
import { DIAMOND } from '../../../tests/fixtures/diamond-net.ts';
import { CHAIN, PAIR, meshOf, members, write } from '../../../tests/fixtures/small-nets.ts';

describe('an end-to-end tunnel', () => {
  test('shows relays neither the payload nor the service', () => {
    const net = meshOf(CHAIN);
    net.recordsWire = true;
    const near = net.open('end-a', 'hello');
    write(net, 'end-a', near, asciiBytes('CANARY'.repeat(100)));
    net.run(500);
    expect(net.at('end-b').got(net.incoming('end-b')).byteLength).toBe(600);
    const seen = String.fromCharCode(...net.wire.bytes.subarray(0, 60_000));
    expect(seen).toContain('end-b');
    expect(seen).not.toContain('CANARY');
    expect(seen).not.toContain('hello');
  });

  test('is shared by a thousand opens at once', () => {
    const net = meshOf(CHAIN);
    const streams = Array.from({ length: 1_000 }, () => net.at('end-a').node.streams.open('hello', net.nowMs));
    net.runUntil(() => streams.every(({ state }) => state !== 'opening'));
    expect(streams.every(({ state }) => state === 'open')).toBe(true);
    expect(net.at('end-a').of('secure')).toHaveLength(1);
    expect(net.at('r1').node.circuitCount).toBe(1);
  });

  test('closes after a minute of idleness, with its circuit, and comes back when it is wanted', () => {
    const net = meshOf(CHAIN);
    const near = net.open('end-a', 'hello');
    net.run(120_000);
    expect(net.at('r1').node.circuitCount).toBe(1);
    net.at('end-a').node.streams.finish(near, net.nowMs);
    net.at('end-b').node.streams.finish(net.incoming('end-b'), net.nowMs);
    net.run(50_000);
    expect(net.at('r1').node.circuitCount).toBe(1);
    net.run(15_000);
    expect(net.at('r1').node.circuitCount).toBe(0);
    expect(net.at('end-a').node.tunnelTo('end-b')).toBeUndefined();
    expect(net.at('end-a').node.counters.get('tunnel-ended-TUNNEL_DRAINED')).toBe(1);
    expect(net.open('end-a', 'hello').state).toBe('open');
  });

  test('goes the other way when the first relay refuses', () => {
    const net = meshOf(DIAMOND);
    const first = present(net.at('end-a').node.linkState.path('end-b').primary, 'a path').hops[0];
    const other = first === 'r1' ? 'r2' : 'r1';
    net.cut(present(first, 'a relay'), 'end-b');
    const stream = net.open('end-a', 'hello');
    expect([stream.state, stream.hops]).toEqual(['open', [other, 'end-b']]);
  });

  test('to nobody is refused without a path, and to one that never answers after ten seconds', () => {
    const net = meshOf({ ...CHAIN, services: { hello: ['end-b'], lost: ['r9'] } });
    expect(net.open('end-a', 'lost').endReason).toEqual({ code: 'NO_PATH' });
    net.linkEnd('r2', 'end-b').isFrozen = true;
    const startMs = net.nowMs;
    const stream = net.at('end-a').node.streams.open('hello', net.nowMs);
    net.runUntil(() => stream.state === 'closed');
    expect(net.nowMs - startMs).toBeLessThanOrEqual(10_500);
    expect(net.at('end-a').node.streams.list()).toEqual([]);
  });

  test('that times out leads to the next instance, which gets ten seconds of its own', () => {
    const net = meshOf({
      members: members('end-a', 'r1', 'end-b', 'end-c'),
      links: [
        ['end-a', 'r1'],
        ['r1', 'end-b'],
        ['r1', 'end-c'],
      ],
      services: { hello: ['end-b', 'end-c'] },
    });
    const [nearest] = net.at('end-a').node.streams.instances('hello');
    const mute = present(nearest, 'an instance');
    // It accepts circuits and never answers on them.
    net.at(mute).isMute = true;
    const stream = net.at('end-a').node.streams.open('hello', net.nowMs);
    net.runUntil(() => stream.state !== 'opening');
    expect([stream.state, stream.peer]).toEqual(['open', mute === 'end-b' ? 'end-c' : 'end-b']);
    net.run(100);
    expect(net.at('r1').node.circuitCount).toBe(1);
  });

  test('whose peer refuses it in HELLO gives up at once and lets the circuit go', () => {
    const net = meshOf(CHAIN);
    net.at('end-b').node.handleSnapshot(
      {
        format: 1,
        trustDomain: 'x0tta6bl4.mesh',
        nodes: ['end-a', 'r1', 'r2', 'end-b'].map((name) => ({
          name,
          relay: true,
          addresses: [],
          labels: {},
          links: name === 'r2' ? ['end-b', 'r1'] : name === 'end-b' ? ['r2'] : [],
        })),
        services: [],
        forwards: [],
        revocations: [{ spiffeId: 'spiffe://x0tta6bl4.mesh/node/end-a', serial: '1', epoch: 1 }],
        issuers: [],
        roots: [],
      },
      net.nowMs,
    );
    const startMs = net.nowMs;
    const stream = net.open('end-a', 'hello');
    expect(stream.endReason?.code).toBe('CERT_REVOKED');
    expect(net.nowMs - startMs).toBeLessThan(1_000);
    net.run(1_000);
    expect([net.at('r1').node.circuitCount, net.at('r2').node.circuitCount]).toEqual([0, 0]);
  });
});

describe('links', () => {
  test('of crossing dials that of the lower name stays, and nothing is lost meanwhile', () => {
    const net = new NodeNet({ ...PAIR, dialOnly: ['end-a', 'end-b'] }, sha256);
    net.connect('end-a', 'end-b');
    net.connect('end-b', 'end-a');
    net.run(3_000);
    const [a, b] = [net.at('end-a').node, net.at('end-b').node];
    expect([a.tunnels().length, b.tunnels().length]).toEqual([1, 1]);
    expect([a.tunnelTo('end-b')?.role, b.tunnelTo('end-a')?.role]).toEqual(['dialer', 'acceptor']);
    expect([a.counters.get('link-down'), b.counters.get('link-down')]).toEqual([0, 0]);
    expect(net.open('end-a', 'hello').state).toBe('open');
  });

  test('of one side that dials again give way to the later, which loses no stream of the earlier', () => {
    const net = meshOf({ ...PAIR, dialOnly: ['end-a', 'end-b'] }, [['end-b', 'end-a']]);
    const open = net.open('end-a', 'hello');
    const earlier = net.at('end-a').node.tunnelTo('end-b');
    net.connect('end-b', 'end-a');
    net.run(2_000);
    expect(net.at('end-a').node.tunnelTo('end-b')).not.toBe(earlier);
    expect(net.isLinked('end-a', 'end-b')).toBe(true);
    write(net, 'end-a', open, asciiBytes('over the old one'));
    net.run(100);
    expect(net.at('end-b').got(net.incoming('end-b'))).toEqual(asciiBytes('over the old one'));
    net.at('end-a').node.streams.reset(open, { code: 'STREAM_ABORTED' });
    net.run(2_000);
    expect(net.at('end-a').node.tunnels()).toHaveLength(1);
  });

  test('that are lost while a stream opens lead to the next instance', () => {
    const net = meshOf({
      members: members('end-a', 'end-b', 'end-c'),
      links: [
        ['end-a', 'end-b'],
        ['end-a', 'end-c'],
      ],
      services: { hello: ['end-b', 'end-c'] },
    });
    const [nearest] = net.at('end-a').node.streams.instances('hello');
    const lost = present(nearest, 'an instance');
    net.linkEnd('end-a', lost).isFrozen = true;
    const stream = net.at('end-a').node.streams.open('hello', net.nowMs);
    net.run(1);
    net.cut('end-a', lost);
    net.runUntil(() => stream.state !== 'opening');
    expect([stream.state, stream.peer]).toEqual(['open', lost === 'end-b' ? 'end-c' : 'end-b']);
  });

  test('of a peer that was restarted replace the old ones at once', () => {
    const net = meshOf(CHAIN);
    const old = present(net.at('r1').node.tunnelTo('end-a'), 'a link');
    net.run(10_000);
    net.start('end-a');
    net.runUntil(() => net.at('r1').node.tunnelTo('end-a') !== old, 2_000);
    net.runUntil(() => net.at('end-a').node.linkState.path('end-b').primary !== undefined, 5_000);
    expect(net.open('end-a', 'hello').state).toBe('open');
  });

  test('that end are dialled again', () => {
    const net = meshOf(CHAIN);
    net.cut('r1', 'r2');
    net.run(1);
    expect(net.isLinked('r1', 'r2')).toBe(false);
    net.runUntil(() => net.isLinked('r1', 'r2'), 10_000);
    net.run(2_000);
    expect(net.open('end-a', 'hello').state).toBe('open');
  });

  test('of a node without an address are dialled by it alone', () => {
    const net = meshOf({ ...CHAIN, dialOnly: ['end-a', 'end-b'] });
    expect(net.open('end-a', 'hello').state).toBe('open');
    expect(
      net
        .at('r1')
        .of('dial')
        .map(({ peer }) => peer),
    ).not.toContain('end-a');
  });

  test('to somebody who is not planned are refused in HELLO by name', () => {
    const net = meshOf(CHAIN);
    net.connect('end-a', 'end-b');
    net.run(100);
    expect(net.at('end-b').node.counters.get('tunnel-refused-LINK_NOT_PLANNED')).toBe(1);
    expect(net.at('end-a').node.counters.get('tunnel-refused-LINK_NOT_PLANNED')).toBe(1);
    expect(net.isLinked('end-a', 'end-b')).toBe(false);
  });

  test('of a node that the snapshot revokes close at once, with the streams of others to it, and are refused by name', () => {
    const net = meshOf(CHAIN);
    const near = net.open('end-b', 'nothing');
    expect(near.endReason?.code).toBe('SERVICE_UNKNOWN');
    const open = net.open('end-a', 'hello');
    net.revoke('end-a');
    net.run(100);
    expect(net.at('r1').node.tunnelTo('end-a')).toBeUndefined();
    expect(net.incoming('end-b').endReason?.code).toBe('CERT_REVOKED');
    net.run(61_000);
    expect(open.endReason?.code).toBe('CONDUIT_LOST');
    expect(net.at('r1').node.counters.get('tunnel-refused-CERT_REVOKED')).toBeGreaterThan(0);
    expect(net.at('r1').node.tunnelTo('end-a')).toBeUndefined();
    expect(net.at('r1').node.circuitCount).toBe(0);
  });

  test('whose peer stops reading and saying anything end within seconds', () => {
    const net = meshOf(CHAIN);
    const far = net.linkEnd('r2', 'end-b');
    far.isFrozen = true;
    present(far.other, 'the other end').isFrozen = true;
    net.run(4_500);
    expect(net.at('r2').node.counters.get('tunnel-ended-TUNNEL_SILENT')).toBe(1);
    expect(net.at('end-b').node.counters.get('tunnel-ended-TUNNEL_SILENT')).toBe(1);
    net.runUntil(() => net.isLinked('r2', 'end-b'), 10_000);
  });
});

function open(id: number, kind: number): Uint8Array {
  return encodeFrame(FrameType.open, id, encodeOpen(kind as StreamKind, 65_536, new Uint8Array(0)));
}

describe('a peer that breaks the protocol', () => {
  test('loses its link, and nothing else happens, when an OPEN follows what ends the link', () => {
    const net = meshOf(PAIR);
    const linkstate = present(net.at('end-b').node.tunnelTo('end-a')?.linkstate, 'a stream');
    const oversized = encodeFrame(FrameType.data, linkstate.id, new Uint8Array(8).fill(0xff));
    const id = 1_001 + (net.at('end-b').node.tunnelTo('end-a')?.role === 'dialer' ? 1 : 0);
    net.inject(
      'end-b',
      'end-a',
      concatBytes([oversized, open(id, StreamKind.stream), open(id + 2, StreamKind.circuit)]),
    );
    net.run(1);
    expect(net.at('end-b').node.counters.get('tunnel-ended-LINKSTATE_TOO_BIG')).toBe(1);
    expect(net.at('end-b').of('incoming')).toEqual([]);
    expect(net.at('end-b').node.streams.list()).toEqual([]);
    net.runUntil(() => net.isLinked('end-a', 'end-b'), 5_000);
  });

  test('gets KIND_UNSUPPORTED for streams that there are none of, and OPEN_MALFORMED for a body that is none', () => {
    const net = meshOf(PAIR);
    const base = 2_001 + (net.at('end-b').node.tunnelTo('end-a')?.role === 'dialer' ? 1 : 0);
    for (const [index, kind] of [0, 3, 7, 99].entries()) net.inject('end-b', 'end-a', open(base + 2 * index, kind));
    net.inject('end-b', 'end-a', open(base + 20, StreamKind.conduit));
    net.inject('end-b', 'end-a', open(base + 22, StreamKind.attach));
    expect(net.at('end-b').node.counters.get('stream-refused-KIND_UNSUPPORTED')).toBe(4);
    expect(net.at('end-b').node.counters.get('stream-refused-OPEN_MALFORMED')).toBe(2);
    expect(net.at('end-b').of('incoming')).toEqual([]);
  });

  test('by ending the link-state stream loses the link', () => {
    const net = meshOf(PAIR);
    const linkstate = present(net.at('end-b').node.tunnelTo('end-a')?.linkstate, 'a stream');
    net.inject('end-b', 'end-a', encodeFrame(FrameType.reset, linkstate.id, asciiBytes('BORED')));
    net.run(1);
    expect(net.at('end-b').node.counters.get('tunnel-ended-LINK_LOST')).toBe(1);
    net.runUntil(() => net.isLinked('end-a', 'end-b'), 5_000);
  });

  test('cannot make counters of its own', () => {
    const net = meshOf(CHAIN);
    net.open('end-a', 'hello');
    const link = present(net.at('r1').node.tunnelTo('end-a'), 'a link');
    const circuit = present(
      [...link.mux.streams()].find(({ kind }) => kind === StreamKind.circuit),
      'a circuit',
    );
    net.inject('r1', 'end-a', encodeFrame(FrameType.reset, circuit.id, asciiBytes('MADE_UP_CODE')));
    net.run(10);
    const counters = JSON.stringify(net.at('r1').node.counters);
    expect(counters).toContain('circuit-ended-unlisted');
    expect(counters).not.toContain('MADE_UP');
  });
});

test('whatever is written on either side arrives exactly, over every kind of path', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 }), fc.constantFrom(PAIR, DIAMOND, CHAIN), (seed, plan) => {
      const random = new SeededRandom(seed);
      const net = meshOf(plan);
      const pairs: { near: LocalStream; far: LocalStream; up: Uint8Array[]; down: Uint8Array[] }[] = [];
      for (let step = 0; step < 30; step++) {
        const dice = random.fraction();
        const pair = pairs[Math.floor(random.fraction() * pairs.length)];
        if (pair === undefined || dice < 0.2) {
          const near = net.open('end-a', 'hello');
          pairs.push({ near, far: net.incoming('end-b'), up: [], down: [] });
        } else if (dice < 0.8) {
          const bytes = random.bytes(Math.floor(random.fraction() ** 3 * 60_000));
          const isUp = random.fraction() < 0.5;
          (isUp ? pair.up : pair.down).push(bytes);
          write(net, isUp ? 'end-a' : 'end-b', isUp ? pair.near : pair.far, bytes);
        } else net.run(Math.floor(random.fraction() * 20));
      }
      for (const { near, far } of pairs) {
        net.at('end-a').node.streams.finish(near, net.nowMs);
        net.at('end-b').node.streams.finish(far, net.nowMs);
      }
      net.runUntil(() => pairs.every(({ near, far }) => near.state === 'closed' && far.state === 'closed'));
      for (const { near, far, up, down } of pairs) {
        expect(bytesEqual(net.at('end-b').got(far), concatBytes(up))).toBe(true);
        expect(bytesEqual(net.at('end-a').got(near), concatBytes(down))).toBe(true);
      }
    }),
    { numRuns: 12 },
  );
});
