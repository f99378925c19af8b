import { awaitPath, freePort, startStaticMesh, type StaticMesh, targetAt } from '../../tests/harness/static-mesh.ts';
import type { Scenario } from '../lib/figure.ts';
import { TrafficProcess } from '../lib/traffic.ts';

const CONDUITS = 1_000;
const ROUNDS = 3;
const STANDING_TIMEOUT_MS = 20_000;
const RELAYS = ['r1', 'r2'] as const;

/** A thousand streams through one relay that dies: how long until each has echoed again. */
export const crowd: Scenario = {
  name: 'crowd',
  about: `${CONDUITS} streams through a relay that is killed, ${ROUNDS} times`,
  run: async () => {
    const port = await freePort();
    const echo = await new TrafficProcess().serve('echo', port);
    const client = new TrafficProcess();
    const mesh = await startStaticMesh(
      [
        { name: 'a', relay: false, links: RELAYS, forwards: ['target'] },
        ...RELAYS.map((name) => ({ name, relay: true, links: ['a', 'b'] })),
        { name: 'b', relay: false, links: RELAYS },
      ],
      [{ name: 'target', instances: targetAt(port) }],
    );
    await awaitPath(mesh, 'a', 'b');
    await client.crowd(mesh.port('a', 'target'), CONDUITS);
    const samples: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const relay = await relayInUse(mesh);
      mesh.processes.get(relay)?.kill('SIGKILL');
      samples.push(await client.crowdAgain());
      await mesh.restart(relay);
    }
    const { streams } = await mesh.status('a');
    await mesh.stop();
    echo.stop();
    client.stop();
    return [
      {
        name: `${CONDUITS} streams after their relay died, until the last has echoed, worst`,
        value: Math.max(...samples),
        unit: 'ms',
        bar: { kind: 'at most', value: 2_000 },
        samples,
      },
      {
        name: 'of them still open',
        value: streams.filter(({ state }) => state === 'open').length,
        unit: '',
        bar: { kind: 'exactly', value: CONDUITS },
        samples: [],
      },
    ];
  },
};

/** The relay that the streams run through, once the other way stands too. */
async function relayInUse(mesh: StaticMesh): Promise<string> {
  const deadlineMs = performance.now() + STANDING_TIMEOUT_MS;
  while (performance.now() < deadlineMs) {
    const { streams, tunnels, paths } = await mesh.status('a');
    const standing = tunnels.filter(({ peer, via, state }) => peer === 'b' && via === 'circuit' && state === 'up');
    const relay = streams[0]?.hops[0];
    if (relay !== undefined && standing.length >= 2 && paths['b']?.protected === true) return relay;
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
  throw new Error('no two ways');
}
