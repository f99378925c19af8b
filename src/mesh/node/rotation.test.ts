import { expect, test } from 'vitest';
import { SeededRandom } from '#kernel/random.ts';
import type { NetPlan } from '#mesh/node/net-plan.ts';
import { NodeNet } from '#mesh/node/node-net.ts';
import { handleOf, sha256 } from '../../../tests/fixtures/diamond-net.ts';

const LIFE_MS = 40_000;
const LIVES = 5;
const STEP_MS = 500;
const STEP_BYTES = 5_000;

/** end-a reaches end-b through two relays, by two ways. */
const GRID: NetPlan = {
  members: ['end-a', 'end-b', 'r1', 'r2', 's1', 's2'].map((name) => ({ name, relay: !name.startsWith('end') })),
  links: [
    ['end-a', 'r1'],
    ['r1', 's1'],
    ['s1', 'end-b'],
    ['end-a', 'r2'],
    ['r2', 's2'],
    ['s2', 'end-b'],
  ],
  services: { hello: ['end-b'] },
  certificateLifeMs: LIFE_MS,
};

/** Sum of a counter over all nodes. */
function total(net: NodeNet, counter: string): number {
  return [...net.nodes.values()].reduce((sum, { node }) => sum + (node.counters.toJSON()[counter] ?? 0), 0);
}

/** What is watched while certificates come and go. */
class Watch {
  readonly #net: NodeNet;
  missingLinks = 0;
  mostTunnels = 0;

  constructor(net: NodeNet) {
    this.#net = net;
  }

  look(): void {
    for (const [a, b] of GRID.links) if (!this.#net.isLinked(a, b)) this.missingLinks++;
    for (const { node } of this.#net.nodes.values())
      this.mostTunnels = Math.max(this.mostTunnels, node.tunnels().length);
  }
}

test('a stream outlives the certificates of everybody on its way, without a lost byte, a lost link or a pile of tunnels', () => {
  const net = new NodeNet(GRID, sha256);
  net.converge();
  const near = handleOf(net.open('end-a', 'hello'));
  const far = handleOf(net.incoming('end-b'));
  const steps = (LIVES * LIFE_MS) / STEP_MS;
  const random = new SeededRandom(7);
  const [up, down] = [random.bytes(steps * STEP_BYTES), random.bytes(steps * STEP_BYTES)];
  const watch = new Watch(net);
  for (let step = 0; step < steps; step++) {
    const at = [step * STEP_BYTES, (step + 1) * STEP_BYTES] as const;
    net.at('end-a').node.streams.send(near, up.slice(...at), net.nowMs);
    net.at('end-b').node.streams.send(far, down.slice(...at), net.nowMs);
    net.run(STEP_MS);
    watch.look();
  }
  net.run(2_000);
  expect(net.at('end-b').got(far)).toEqual(up);
  expect(net.at('end-a').got(near)).toEqual(down);
  expect([near.state, far.state]).toEqual(['open', 'open']);
  expect(total(net, 'conduit-lost')).toBe(0);
  expect(watch.missingLinks).toBe(0);
  expect(near.moveCount).toBeGreaterThanOrEqual(LIVES - 1);
  console.log(`${LIVES} lives: ${near.moveCount} moves, at most ${watch.mostTunnels} tunnels at a node`);
  expect(Math.max(...near.moves.map((move) => move.gapMs))).toBeLessThan(50);
  expect(total(net, 'tunnel-ended-CERT_EXPIRED')).toBe(0);
  // Two links, two ends of ways that stand ready, and each of them once more while it is replaced.
  expect(watch.mostTunnels).toBeLessThanOrEqual(8);
});
