import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { freePort } from '../../tests/harness/static-mesh.ts';
import { type Figure, NotMeasured, type Scenario } from '../lib/figure.ts';
import { type LineMesh, startLineMesh } from '../lib/line-mesh.ts';
import { median } from '../lib/statistics.ts';
import { TrafficProcess } from '../lib/traffic.ts';

const PAIRS = 9;
const BYTES = 1_000_000_000;
/** Where another checkout of this repository lies, installed. */
const VARIABLE = 'X0_BENCH_AGAINST';

/** What this commit costs in throughput against another one: `X0_BENCH_AGAINST=DIR npm run bench -- cost`. */
export const cost: Scenario = {
  name: 'cost',
  about: `one stream of ${BYTES / 1e9} GB through this commit and through that of ${VARIABLE}, ${PAIRS} interleaved pairs`,
  run: async () => {
    const against = process.env[VARIABLE];
    if (against === undefined) throw new NotMeasured(`set ${VARIABLE} to another checkout`);
    const script = join(resolve(against), 'bench', 'lib', 'line-mesh.ts');
    if (!existsSync(script)) throw new NotMeasured(`${against} is no checkout`);
    const other = (await import(pathToFileURL(script).href)) as { startLineMesh: typeof startLineMesh };
    return [...(await pairs('direct', 0, other.startLineMesh)), ...(await pairs('one relay', 1, other.startLineMesh))];
  },
};

async function pairs(name: string, relays: number, startOther: typeof startLineMesh): Promise<readonly Figure[]> {
  const port = await freePort();
  const sink = await new TrafficProcess().serve('sink', port);
  const source = new TrafficProcess();
  const [ours, theirs] = [await startLineMesh(relays, port), await startOther(relays, port)];
  const ratios: number[] = [];
  for (let pair = -1; pair < PAIRS; pair++) {
    const seconds = new Map<LineMesh, number>();
    for (const line of pair % 2 === 0 ? [ours, theirs] : [theirs, ours])
      seconds.set(line, await source.send(line.port, BYTES));
    // The first pair runs while code is still being compiled.
    if (pair >= 0) ratios.push((seconds.get(theirs) ?? Number.NaN) / (seconds.get(ours) ?? Number.NaN));
  }
  for (const line of [ours, theirs]) await line.mesh.stop();
  sink.stop();
  source.stop();
  return [
    {
      name: `throughput against the other commit, ${name}`,
      value: median(ratios),
      unit: '',
      bar: { kind: 'at least', value: 0.9 },
      samples: ratios,
    },
  ];
}
