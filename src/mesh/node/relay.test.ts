import { describe, expect, test } from 'vitest';
import { present } from '#kernel/assert.ts';
import { asciiBytes } from '#kernel/bytes.ts';
import { encodeCircuitOpen } from '#mesh/circuit/circuit-open.ts';
import { StreamKind } from '#mesh/mux/frame.ts';
import { FIRST_WINDOW_BYTES } from '#mesh/mux/window-pool.ts';
import type { NodeNet } from '#mesh/node/node-net.ts';
import type { NetPlan } from '#mesh/node/net-plan.ts';
import type { MeshNodeOptions } from '#mesh/node/node-options.ts';
import type { LocalStream } from '#mesh/node/tunnel.ts';
import { CHAIN, meshOf, write } from '../../../tests/fixtures/small-nets.ts';

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
