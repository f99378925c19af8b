import { ChaosMesh } from '../../tests/chaos/chaos-mesh.ts';
import { DIAMOND } from '../../tests/chaos/topologies.ts';
import { SYSTEM_MISSING } from '../../tests/harness/system.ts';
import { type Figure, NotMeasured, type Scenario } from '../lib/figure.ts';

const SECONDS = 60;
const STREAMS = 8;
const SHAPER = ['tbf', 'rate', '10mbit', 'burst', '32kbit', 'latency', '400ms'] as const;

/** A node whose way out is full for a minute: nothing is taken for dead. Needs root, iproute2 and nftables. */
export const narrow: Scenario = {
  name: 'narrow',
  about: `${STREAMS} streams fill 10 Mbit/s for ${SECONDS} s`,
  run: async () => {
    if (SYSTEM_MISSING !== undefined) throw new NotMeasured(SYSTEM_MISSING);
    const mesh = await ChaosMesh.start(DIAMOND, false);
    try {
      mesh.shape('a', SHAPER);
      await mesh.run(STREAMS);
      const before = await lost(mesh);
      await new Promise((resolve) => {
        setTimeout(resolve, SECONDS * 1_000);
      });
      const after = await lost(mesh);
      const { streams } = await mesh.status('a');
      const moves = streams.reduce((sum, { moveCount }) => sum + moveCount, 0);
      const report = await mesh.finish();
      return [
        none('links taken for dead on a full link of 10 Mbit/s', after - before),
        none('streams that moved', moves),
        none('streams that broke', report.broken.length),
        { name: 'carried there and back', value: (report.bytes * 8) / SECONDS / 1e6, unit: 'Mbit/s', samples: [] },
      ];
    } finally {
      await mesh.stop();
    }
  },
};

async function lost(mesh: ChaosMesh): Promise<number> {
  const all = await Promise.all(['a', 'b', 'r1', 'r2'].map(async (name) => mesh.status(name)));
  return all.reduce((sum, { counters }) => sum + (counters['link-down'] ?? 0), 0);
}

function none(name: string, value: number): Figure {
  return { name, value, unit: '', bar: { kind: 'exactly', value: 0 }, samples: [value] };
}
