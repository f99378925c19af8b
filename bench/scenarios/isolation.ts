import { awaitPath, freePort, startStaticMesh, targetAt } from '../../tests/harness/static-mesh.ts';
import type { Scenario } from '../lib/figure.ts';
import { median } from '../lib/statistics.ts';
import { TrafficProcess } from '../lib/traffic.ts';

const PAIRS = 9;
const STALLED = 100;
const BYTES = 750_000_000;

/** Streams whose readers never read, beside one that is in a hurry, on the same tunnel. */
export const isolation: Scenario = {
  name: 'isolation',
  about: `one stream of ${BYTES / 1e9} GB with and without ${STALLED} stalled streams on its tunnel, ${PAIRS} interleaved pairs`,
  run: async () => {
    const [sinkPort, stallPort] = [await freePort(), await freePort()];
    const sink = await new TrafficProcess().serve('sink', sinkPort);
    const stall = await new TrafficProcess().serve('stall', stallPort);
    const [source, holder] = [new TrafficProcess(), new TrafficProcess()];
    const mesh = await startStaticMesh(
      [
        { name: 'a', relay: false, links: ['b'], forwards: ['sink', 'stall'] },
        { name: 'b', relay: false, links: ['a'] },
      ],
      [
        { name: 'sink', instances: targetAt(sinkPort) },
        { name: 'stall', instances: targetAt(stallPort) },
      ],
    );
    await awaitPath(mesh, 'a', 'b');
    const ratios: number[] = [];
    for (let pair = 0; pair < PAIRS; pair++) {
      const seconds = new Map<boolean, number>();
      for (const isCrowded of pair % 2 === 0 ? [false, true] : [true, false]) {
        if (isCrowded) await holder.hold(mesh.port('a', 'stall'), STALLED, true);
        seconds.set(isCrowded, await source.send(mesh.port('a', 'sink'), BYTES));
        if (!isCrowded) continue;
        await holder.release();
        // A socket that nobody reads does not notice its end, and keeps what the system buffered for it.
        await stall.release();
      }
      ratios.push((seconds.get(false) ?? Number.NaN) / (seconds.get(true) ?? Number.NaN));
    }
    await mesh.stop();
    for (const process of [sink, stall, source, holder]) process.stop();
    const name = `throughput beside ${STALLED} stalled streams ÷ alone`;
    return [{ name, value: median(ratios), unit: '', bar: { kind: 'at least', value: 0.9 }, samples: ratios }];
  },
};
