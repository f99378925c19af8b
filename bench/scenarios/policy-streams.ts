import type { Socket } from 'node:net';
import type { PolicyText } from '#trust/policy/engine.ts';
import type { SnapshotService } from '#trust/snapshot.ts';
import { awaitPath, startStaticMesh, type StaticMesh, targetAt } from '../../tests/harness/static-mesh.ts';
import { connectTcp, openEcho, readExactly } from '../../tests/harness/tcp.ts';
import type { Figure, Scenario } from '../lib/figure.ts';
import { median, quantile } from '../lib/statistics.ts';

const PAIRS = 11;
const OPENS = 300;
const STREAMS = 10_000;
/** Services that the 10,000 streams are of: each is decided once by each end. */
const SERVICES = 10_000;
const POLICIES = 1_000;
const IDLE_MS = 2_000;
const HELD = 'held-';
/** One peer has not the windows for so many. */
const CALLERS = ['a', 'c'] as const;

/** What policies cost traffic: opening a stream, and an open one while all others are decided again. */
export const policyStreams: Scenario = {
  name: 'policy-streams',
  about: `${PAIRS} pairs of ${OPENS} opens with and without policies; round trips while ${STREAMS} streams are decided again by ${POLICIES} new policies`,
  run: async () => [...(await measureOpens()), ...(await measureRedecision())],
};

/** Ten that can apply to each request, and others that cannot. */
function policies(limit: number): readonly PolicyText[] {
  return Array.from({ length: POLICIES }, (_, at) => {
    const scope = at < 10 ? 'resource' : `resource == X0::Service::"other-${at}"`;
    const condition =
      at === 0 ? '' : ` when { principal.posture.os == "os${at}" && context.minuteOfDay < ${limit + at} }`;
    return { id: `p${at}`, text: `permit(principal in X0::Group::"members", action, ${scope})${condition};` };
  });
}

async function startMesh(services: readonly SnapshotService[], texts?: readonly PolicyText[]): Promise<StaticMesh> {
  const nodes = [
    { name: 'a', relay: true, links: ['b'], forwards: ['echo'] },
    { name: 'b', relay: true, links: ['a', 'c'] },
    { name: 'c', relay: true, links: ['b'] },
  ];
  const mesh = await startStaticMesh(nodes, services, [], undefined, texts);
  for (const caller of CALLERS) await awaitPath(mesh, caller, 'b');
  return mesh;
}

function heldServices(count: number): readonly SnapshotService[] {
  return Array.from({ length: count }, (_, at) => ({ name: `${HELD}${at}`, instances: targetAt(1) }));
}

async function measureOpens(): Promise<readonly Figure[]> {
  const echo = await openEcho();
  const services = [...heldServices(OPENS), { name: 'echo', instances: targetAt(echo.port) }];
  const names = heldServices(OPENS).map(({ name }) => name);
  const same = names.map(() => `${HELD}0`);
  const [plain, decided] = [await startMesh(services), await startMesh(services, policies(0))];
  const again: number[] = [];
  const first: number[] = [];
  try {
    for (let pair = -1; pair < PAIRS; pair++) {
      for (const node of ['a', 'b']) await decided.decideBy(node, policies(pair + 2));
      const firstMs = median(await decided.opensOf('a', names)) - median(await plain.opensOf('a', names));
      const againMs = median(await decided.opensOf('a', same)) - median(await plain.opensOf('a', same));
      // The first pair warms both up.
      if (pair < 0) continue;
      first.push(firstMs);
      again.push(againMs);
    }
  } finally {
    await Promise.all([plain.stop(), decided.stop()]);
    await echo.close();
  }
  return [
    bar('an open adds, where both ends decided the same before', median(again), 0.2, again),
    plainFigure('an open adds, where neither end did: once for a pair until the next change', median(first), first),
  ];
}

async function measureRedecision(): Promise<readonly Figure[]> {
  const echo = await openEcho();
  const services = [...heldServices(SERVICES), { name: 'echo', instances: targetAt(echo.port) }];
  const mesh = await startMesh(services, policies(0));
  try {
    const socket = await connectTcp(mesh.port('a', 'echo'));
    const names = Array.from({ length: STREAMS }, (_, at) => `${HELD}${at % SERVICES}`);
    const half = STREAMS / CALLERS.length;
    for (const [at, caller] of CALLERS.entries()) await mesh.hold(caller, names.slice(at * half, (at + 1) * half));
    const { length: count } = (await mesh.status('b')).streams;
    if (count < STREAMS) throw new Error(`only ${count} streams are open`);
    const idle = await roundTrips(socket, new Promise((resolve) => void setTimeout(resolve, IDLE_MS)));
    const others = policies(100);
    const redeciding = Promise.all(['b', ...CALLERS].map(async (node) => mesh.decideBy(node, others)));
    const busy = await roundTrips(socket, redeciding);
    const tookMs = Math.max(...(await redeciding));
    socket.destroy();
    return [
      bar(`${STREAMS} streams decided again, at one end all and at the others half of them`, tookMs, 2_000, [tookMs]),
      plainFigure('  round trips of another stream before, p99', quantile(idle, 0.99), idle),
      bar('  round trips of another stream meanwhile, p99', quantile(busy, 0.99), 20, busy),
      plainFigure('  the longest of them', Math.max(...busy), []),
    ];
  } finally {
    await mesh.stop();
    await echo.close();
  }
}

/** One after the other until `end`. */
async function roundTrips(socket: Socket, end: Promise<unknown>): Promise<readonly number[]> {
  const over = new AbortController();
  void end.then(() => over.abort());
  const samples: number[] = [];
  while (!over.signal.aborted) {
    const beganMs = performance.now();
    socket.write('x');
    await readExactly(socket, 1);
    samples.push(performance.now() - beganMs);
  }
  return samples;
}

function plainFigure(name: string, value: number, samples: readonly number[]): Figure {
  return { name, value, unit: 'ms', samples };
}

function bar(name: string, value: number, most: number, samples: readonly number[]): Figure {
  return { name, value, unit: 'ms', bar: { kind: 'at most', value: most }, samples };
}
