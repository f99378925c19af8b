import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { present } from '#kernel/assert.ts';
import { asciiBytes, bytesEqual, concatBytes } from '#kernel/bytes.ts';
import { SeededRandom } from '#kernel/random.ts';
import { encodeCircuitOpen } from '#mesh/circuit/circuit-open.ts';
import { encodeFrame, encodeOpen, FrameType, StreamKind } from '#mesh/mux/frame.ts';
import { FIRST_WINDOW_BYTES } from '#mesh/mux/window-pool.ts';
import { type NetMember, type NetPlan, NodeNet } from '#mesh/node/node-net.ts';
import type { MeshNodeOptions } from '#mesh/node/node-options.ts';
import type { LocalStream } from '#mesh/node/tunnel.ts';
import { sha256 } from '../../../tests/fixtures/diamond-net.ts';

function meshOf(plan: NetPlan, connections: readonly (readonly [string, string])[] = []): NodeNet {
  const net = new NodeNet(plan, sha256);
  for (const [dialer, acceptor] of connections) net.connect(dialer, acceptor);
  net.converge();
  return net;
}

function members(...names: readonly string[]): NetMember[] {
  return names.map((name) => ({ name, relay: !name.startsWith('end') }));
}

const PAIR: NetPlan = {
  members: members('end-a', 'end-b'),
  links: [['end-a', 'end-b']],
  services: { hello: ['end-b'] },
};

/** end-a – r1 – end-b, and r2 as the other way. */
const DIAMOND: NetPlan = {
  members: members('end-a', 'end-b', 'r1', 'r2'),
  links: [
    ['end-a', 'r1'],
    ['end-b', 'r1'],
    ['end-a', 'r2'],
    ['end-b', 'r2'],
  ],
  services: { hello: ['end-b'] },
};

/** end-a – r1 – r2 – end-b. */
const CHAIN: NetPlan = {
  members: members('end-a', 'r1', 'r2', 'end-b'),
  links: [
    ['end-a', 'r1'],
    ['r1', 'r2'],
    ['r2', 'end-b'],
  ],
  services: { hello: ['end-b'] },
};

function write(net: NodeNet, name: string, stream: LocalStream, bytes: Uint8Array): void {
  net.at(name).node.streams.send(stream, bytes, net.nowMs);
}

/** Three ends around one relay. */
function star(options: Partial<MeshNodeOptions>): NetPlan {
  const names = ['end-a', 'end-b', 'end-c', 'r1'];
  return {
    members: names.map((name) => ({ name, relay: name === 'r1', options })),
    links: [
      ['end-a', 'r1'],
      ['end-b', 'r1'],
      ['end-c', 'r1'],
    ],
    services: { hello: ['end-c'] },
  };
}

/** Opens circuits by hand, whatever the path. */
function openCircuits(
  net: NodeNet,
  from: string,
  first: string,
  rest: readonly string[],
  count: number,
): LocalStream[] {
  const { node } = net.at(from);
  const tunnel = present(node.tunnelTo(first), 'a link');
  const circuits = Array.from({ length: count }, () => {
    const circuit = node.streams.createCircuit('out');
    const opened = tunnel.mux.open(StreamKind.circuit, encodeCircuitOpen(rest), circuit, 'local');
    if (!opened.ok) throw new Error(opened.error);
    return Object.assign(circuit, { peer: present(rest.at(-1), 'a destination'), tunnel, stream: opened.value });
  });
  net.thaw(net.linkEnd(from, first));
  return circuits;
}

function free(count: number): undefined[] {
  return Array.from({ length: count }, () => undefined);
}

function taken(count: number, code: string): string[] {
  return Array.from({ length: count }, () => code);
}

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

describe('a relay', () => {
  const cases: readonly (readonly [string, readonly string[], string])[] = [
    ['a repeated name', ['r2', 'end-b', 'r2'], 'CIRCUIT_LOOP'],
    ['its own name', ['r2', 'r1', 'end-b'], 'CIRCUIT_LOOP'],
    ['the opener’s name', ['r2', 'end-a'], 'CIRCUIT_LOOP'],
    ['nine hops', ['r2', 'c', 'd', 'e', 'f', 'g', 'h', 'i'], 'CIRCUIT_TOO_LONG'],
    ['a hop without a link', ['end-b'], 'CIRCUIT_NO_LINK'],
    ['a name that is none', ['R2'], 'CIRCUIT_MALFORMED'],
  ];
  test.each(cases)('refuses a path with %s by its code and name', (_what, hops, code) => {
    const net = meshOf(CHAIN);
    const [circuit] = openCircuits(net, 'end-a', 'r1', hops, 1);
    net.run(100);
    expect(circuit?.endReason).toEqual({ code, hop: 'r1' });
    expect(net.at('r1').node.counters.get(`circuit-refused-${code}`)).toBe(1);
    expect(net.at('r1').node.circuitCount).toBe(0);
  });

  test('passes on the refusal of a later hop under that hop’s name, here one that does not relay', () => {
    const net = meshOf(CHAIN);
    const [circuit] = openCircuits(net, 'end-b', 'r2', ['r1', 'end-a', 'x'], 1);
    net.run(100);
    expect(circuit?.endReason).toEqual({ code: 'CIRCUIT_NOT_RELAY', hop: 'end-a' });
    expect([net.at('r1').node.circuitCount, net.at('r2').node.circuitCount]).toEqual([0, 0]);
  });

  test('names the hop also where its multiplexer refuses', () => {
    const net = meshOf({
      ...CHAIN,
      members: CHAIN.members.map((each) =>
        each.name === 'end-b' ? { ...each, options: { maxPeerStreams: 3 } } : each,
      ),
    });
    const circuits = openCircuits(net, 'end-a', 'r1', ['r2', 'end-b'], 6);
    net.run(100);
    expect(circuits.at(-1)?.endReason).toEqual({ code: 'STREAM_CAP', hop: 'end-b' });
  });

  test('gives each neighbour its share of a link, and no more', () => {
    const net = meshOf(star({ maxPeerStreams: 8 }));
    const first = openCircuits(net, 'end-a', 'r1', ['end-c'], 7);
    net.run(100);
    expect(first.map(({ endReason }) => endReason?.code)).toEqual([...free(4), ...taken(3, 'CIRCUIT_CAP')]);
    const second = openCircuits(net, 'end-b', 'r1', ['end-c'], 3);
    net.run(100);
    expect(second.map(({ endReason }) => endReason?.code)).toEqual(free(3));
    expect(net.at('r1').node.counters.get('circuit-refused-CIRCUIT_CAP')).toBe(3);
    expect(net.isLinked('end-a', 'r1') && net.isLinked('r1', 'end-c')).toBe(true);
  });

  test('holds at most one window and a quarter of a circuit whose far side does not read', () => {
    const net = meshOf(CHAIN);
    const circuit = present(openCircuits(net, 'end-a', 'r1', ['r2', 'end-b'], 1)[0], 'a circuit');
    net.runUntil(() => circuit.state === 'open');
    net.linkEnd('r1', 'r2').isFrozen = true;
    write(net, 'end-a', circuit, new Uint8Array(4_000_000));
    net.run(900);
    const held = [...present(net.at('r1').node.tunnelTo('r2'), 'a link').mux.streams()].map(({ queue }) => queue.bytes);
    expect(Math.max(...held)).toBeGreaterThan(FIRST_WINDOW_BYTES / 2);
    expect(Math.max(...held)).toBeLessThanOrEqual(1.25 * FIRST_WINDOW_BYTES);
    net.thaw(net.linkEnd('r1', 'r2'));
    net.runUntil(() => net.at('end-a').node.streams.list().length === 0 && circuit.queuedBytes === 0);
  });

  test('forgets circuits that ended in either way, each once', () => {
    const net = meshOf(CHAIN);
    const circuits = openCircuits(net, 'end-a', 'r1', ['r2', 'end-b'], 4);
    net.runUntil(() => circuits.every(({ state }) => state === 'open'));
    const far = net
      .at('end-b')
      .of('secure')
      .map(({ stream }) => stream);
    const [first, second] = [present(circuits[0], 'a circuit'), present(circuits[1], 'a circuit')];
    net.at('end-a').node.streams.finish(first, net.nowMs);
    net.at('end-b').node.streams.finish(present(far[0], 'its end'), net.nowMs);
    net.at('end-a').node.streams.reset(second, { code: 'STREAM_ABORTED' });
    net.at('end-b').node.streams.reset(present(far[1], 'its end'), { code: 'STREAM_ABORTED' });
    net.run(200);
    expect([net.at('r1').node.circuitCount, net.at('r2').node.circuitCount]).toEqual([2, 2]);
    expect(first.state).toBe('closed');
  });

  test('that loses a link with five thousand circuits closes nothing else', { timeout: 60_000 }, () => {
    const net = meshOf(star({ maxPeerStreams: 20_000, poolBytes: 2 ** 30, opensPerSecond: 1_000_000 }));
    const kept = net.open('end-a', 'hello');
    const locals = openCircuits(net, 'end-a', 'r1', ['end-b'], 5_000);
    net.runUntil(() => net.at('r1').node.circuitCount === 5_001);
    net.cut('r1', 'end-b');
    net.run(500);
    expect(locals.filter(({ state }) => state === 'closed')).toHaveLength(5_000);
    expect(net.at('r1').node.circuitCount).toBe(1);
    expect(net.isLinked('end-a', 'r1') && net.isLinked('end-c', 'r1')).toBe(true);
    write(net, 'end-a', kept, asciiBytes('still here'));
    net.run(100);
    expect(net.at('end-c').got(net.incoming('end-c'))).toEqual(asciiBytes('still here'));
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
    for (const [index, kind] of [0, 3, 6, 99].entries()) net.inject('end-b', 'end-a', open(base + 2 * index, kind));
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
