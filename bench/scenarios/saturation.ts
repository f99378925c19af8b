import { execFileSync } from 'node:child_process';
import { awaitPath, startStaticMesh, targetAt } from '../../tests/harness/static-mesh.ts';
import { type Figure, NotMeasured, type Scenario } from '../lib/figure.ts';
import { median, quantile } from '../lib/statistics.ts';
import { TrafficProcess } from '../lib/traffic.ts';

const RATE_MBIT = 20;
const ECHOES = 200;
const [SINK_PORT, ECHO_PORT] = [7001, 7002];

/** A slow link that is full: what a small write on a sibling stream waits for. Needs root and iproute2. */
export const saturation: Scenario = {
  name: 'saturation',
  about: `${ECHOES} echoes of 64 bytes beside a bulk stream on a link of ${RATE_MBIT} Mbit/s between two namespaces`,
  run: async () => {
    if (process.getuid?.() !== 0) throw new NotMeasured('needs root for network namespaces');
    const names = [`x0bench${process.pid}a`, `x0bench${process.pid}b`] as const;
    try {
      makeLink(...names);
      return await measure(...names);
    } finally {
      for (const name of names) run('ip', 'netns', 'delete', name);
    }
  },
};

function inside(name: string): readonly string[] {
  return ['ip', 'netns', 'exec', name];
}

async function measure(near: string, far: string): Promise<readonly Figure[]> {
  const sink = await new TrafficProcess(inside(far)).serve('sink', SINK_PORT);
  const echo = await new TrafficProcess(inside(far)).serve('echo', ECHO_PORT);
  const [source, client] = [new TrafficProcess(inside(near)), new TrafficProcess(inside(near))];
  const mesh = await startStaticMesh(
    [
      { name: 'a', relay: false, links: ['b'], forwards: ['sink', 'echo'], wrap: inside(near), host: '10.99.0.1' },
      { name: 'b', relay: false, links: ['a'], wrap: inside(far), host: '10.99.0.2' },
    ],
    [
      { name: 'sink', instances: targetAt(SINK_PORT) },
      { name: 'echo', instances: targetAt(ECHO_PORT) },
    ],
  );
  await awaitPath(mesh, 'a', 'b');
  const bytes = (RATE_MBIT * 1e6 * 20) / 8;
  const sending = source.send(mesh.port('a', 'sink'), bytes);
  await new Promise((resolve) => {
    setTimeout(resolve, 3_000);
  });
  const waits = await client.rounds(mesh.port('a', 'echo'), ECHOES, false);
  const seconds = await sending;
  await mesh.stop();
  for (const process of [sink, echo, source, client]) process.stop();
  const most = { kind: 'at most', value: 150 } as const;
  const rates = [(bytes * 8) / seconds / 1e6];
  return [
    { name: 'echo on a saturated 20 Mbit/s link, p50', value: median(waits), unit: 'ms', samples: waits },
    {
      name: 'echo on a saturated 20 Mbit/s link, worst',
      value: quantile(waits, 1),
      unit: 'ms',
      bar: most,
      samples: [],
    },
    { name: 'bulk beside it', value: median(rates), unit: 'Mbit/s', samples: rates },
  ];
}

function makeLink(near: string, far: string): void {
  for (const name of [near, far]) {
    run('ip', 'netns', 'add', name);
    run('ip', '-n', name, 'link', 'set', 'lo', 'up');
  }
  run('ip', 'link', 'add', 'x0v', 'netns', near, 'type', 'veth', 'peer', 'name', 'x0v', 'netns', far);
  for (const [name, address] of [
    [near, '10.99.0.1/24'],
    [far, '10.99.0.2/24'],
  ] as const) {
    run('ip', '-n', name, 'address', 'add', address, 'dev', 'x0v');
    run('ip', '-n', name, 'link', 'set', 'x0v', 'up');
    const shape = ['tbf', 'rate', `${RATE_MBIT}mbit`, 'burst', '32kbit', 'latency', '400ms'];
    run('tc', '-n', name, 'qdisc', 'add', 'dev', 'x0v', 'root', ...shape);
  }
}

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
