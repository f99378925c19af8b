import { freePort } from '../../tests/harness/static-mesh.ts';
import type { Figure, Scenario } from '../lib/figure.ts';
import { type LineMesh, startLineMesh } from '../lib/line-mesh.ts';
import { PipeLine } from '../lib/pipe-line.ts';
import { median } from '../lib/statistics.ts';
import { TrafficProcess } from '../lib/traffic.ts';

const ROUNDS = 5;
/** The first gigabytes of a process run while its code is still being compiled. */
const WARM_UP_ROUNDS = 1;
const BYTES = 2_000_000_000;
const GIGABYTE = 1e9;

/** One way to carry bytes: where to send them, and whose processors it uses. */
interface Lane {
  readonly name: string;
  readonly port: number;
  cpuSeconds(): Promise<ReadonlyMap<string, number>>;
  stop(): Promise<void>;
}

/** One stream from a real TCP client to a real TCP server, direct and through a relay, beside plain TCP pipes of Node. */
export const throughput: Scenario = {
  name: 'throughput',
  about: `one stream of ${BYTES / GIGABYTE} GB, ${ROUNDS} interleaved rounds after ${WARM_UP_ROUNDS} unmeasured; every process on the same cores`,
  run: async () => {
    const sinkPort = await freePort();
    const sink = await new TrafficProcess().serve('sink', sinkPort);
    const source = new TrafficProcess();
    const lanes = [
      await meshLane('direct', 0, sinkPort),
      await meshLane('one relay', 1, sinkPort),
      await pipeLane('plain TCP pipes, two', 2, sinkPort),
      await pipeLane('plain TCP pipes, three', 3, sinkPort),
    ];
    const gigabits = new Map<string, number[]>(lanes.map(({ name }) => [name, []]));
    const processor = new Map<string, number[]>();
    for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
      for (const lane of lanes) {
        const before = await allCpu(lane, source, sink);
        const seconds = await source.send(lane.port, BYTES);
        const after = await allCpu(lane, source, sink);
        if (round < 0) continue;
        gigabits.get(lane.name)?.push((BYTES * 8) / seconds / 1e9);
        for (const [name, cpu] of after) {
          const key = `${lane.name}: CPU of ${name}`;
          const spent = ((cpu - (before.get(name) ?? 0)) * GIGABYTE) / BYTES;
          processor.set(key, [...(processor.get(key) ?? []), spent]);
        }
      }
    }
    for (const lane of lanes) await lane.stop();
    source.stop();
    sink.stop();
    return [...rates(gigabits), ...[...processor].map(([name, samples]) => cpuFigure(name, samples))];
  },
};

const BARS: Readonly<Record<string, number>> = { direct: 4, 'one relay': 2.5 };

function rates(gigabits: ReadonlyMap<string, number[]>): Figure[] {
  const figures = [...gigabits].map(([name, samples]): Figure => {
    const bar = BARS[name];
    const figure = { name: `throughput, ${name}`, value: median(samples), unit: 'Gbit/s', samples };
    return bar === undefined ? figure : { ...figure, bar: { kind: 'at least', value: bar } };
  });
  return [
    ...figures,
    ratio(gigabits, 'direct', 'plain TCP pipes, two'),
    ratio(gigabits, 'one relay', 'plain TCP pipes, three'),
  ];
}

function ratio(gigabits: ReadonlyMap<string, number[]>, ours: string, plain: string): Figure {
  const samples = (gigabits.get(ours) ?? []).map((rate, i) => rate / (gigabits.get(plain)?.[i] ?? Number.NaN));
  return { name: `throughput, ${ours} ÷ ${plain}`, value: median(samples), unit: '', samples };
}

function cpuFigure(name: string, samples: readonly number[]): Figure {
  return { name, value: median(samples), unit: 's/GB', samples };
}

async function allCpu(lane: Lane, source: TrafficProcess, sink: TrafficProcess): Promise<Map<string, number>> {
  const own = await lane.cpuSeconds();
  return new Map([['client', await source.cpuSeconds()], ...own, ['server', await sink.cpuSeconds()]]);
}

async function meshLane(name: string, relays: number, sinkPort: number): Promise<Lane> {
  const line: LineMesh = await startLineMesh(relays, sinkPort);
  const cpuSeconds = async (): Promise<Map<string, number>> => {
    const spent = new Map<string, number>();
    for (const node of line.names) {
      const { cpu } = await line.mesh.status(node);
      spent.set(node, (cpu.user + cpu.system) / 1e6);
    }
    return spent;
  };
  return { name, port: line.port, cpuSeconds, stop: async () => line.mesh.stop() };
}

async function pipeLane(name: string, count: number, sinkPort: number): Promise<Lane> {
  const line = await PipeLine.start(count, sinkPort);
  return {
    name,
    port: line.port,
    cpuSeconds: async () => {
      const spent = await Promise.all(line.pipes.map(async (pipe) => pipe.cpuSeconds()));
      return new Map(spent.map((seconds, i) => [`pipe ${i + 1}`, seconds]));
    },
    stop: async () => line.stop(),
  };
}
