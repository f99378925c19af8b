import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import {
  awaitPath,
  freePort,
  startStaticMesh,
  type StaticMesh,
  type StaticNodeSpec,
  targetAt,
} from '../../tests/harness/static-mesh.ts';
import type { Figure, Scenario } from '../lib/figure.ts';
import { median, quantile } from '../lib/statistics.ts';
import { TrafficProcess } from '../lib/traffic.ts';

type Profile = 'normal' | 'fast';

const ENDS = ['a', 'b'] as const;
/** Frozen in turn, so that each has a stable link again before its next turn. */
const RELAYS = ['r1', 'r2', 'r3', 'r4'] as const;
const IDLE_FAULTS = Number(process.env['DETECTION_FAULTS'] ?? 30);
const BUSY_FAULTS = 30;
const SOAK_SECONDS = { normal: Number(process.env['DETECTION_SOAK_SECONDS'] ?? 180), fast: 60 } as const;
/** Both, or the one that is asked for. */
const PROFILES = (['normal', 'fast'] as const).filter((name) => name === (process.env['DETECTION_PROFILE'] ?? name));
/** So many faults show the 99th percentile, where fewer show the worst. */
const FAULTS_FOR_P99 = 300;
const SPREAD_MS = 100;
/** A relay that is frozen again sooner pays the growing pause between dials of a link that flaps. */
const STABLE_MS = 5_500;
const READY_TIMEOUT_MS = 30_000;

/** How soon neighbours notice that a node is frozen, and how often they think so of one that is not. */
export const detection: Scenario = {
  name: 'detection',
  about: `SIGSTOP of a relay ${IDLE_FAULTS} times idle and ${BUSY_FAULTS} busy per profile (streams at full rate and ${availableParallelism()} spinning processes)`,
  run: async () => {
    const figures: Figure[] = [];
    for (const profile of PROFILES) figures.push(...(await measure(profile)));
    return figures;
  },
};

async function measure(profile: Profile): Promise<readonly Figure[]> {
  const port = await freePort();
  const sink = await new TrafficProcess().serve('sink', port);
  const specs: StaticNodeSpec[] = [
    ...ENDS.map((name) => ({
      name,
      relay: false,
      links: [...RELAYS],
      detector: profile,
      forwards: name === 'a' ? ['target'] : [],
    })),
    ...RELAYS.map((name) => ({ name, relay: true, links: [...ENDS], detector: profile })),
  ];
  const mesh = await startStaticMesh(specs, [{ name: 'target', instances: targetAt(port) }]);
  await awaitPath(mesh, 'a', 'b');
  const load = new Load(mesh.port('a', 'target'));
  try {
    const idle = await freezeAll(mesh, IDLE_FAULTS);
    load.start();
    const falseAlarms = await soak(mesh, SOAK_SECONDS[profile]);
    const busy = await freezeAll(mesh, BUSY_FAULTS);
    return figuresOf(profile, idle, busy, falseAlarms, load.gigabytes);
  } finally {
    load.stop();
    sink.stop();
    await mesh.stop();
  }
}

function figuresOf(
  profile: Profile,
  idle: readonly number[],
  busy: readonly number[],
  falseAlarms: number,
  gigabytes: number,
): readonly Figure[] {
  const held = profile === 'normal';
  const bar = (value: number): Pick<Figure, 'bar'> => (held ? { bar: { kind: 'at most', value } } : {});
  const name = `${profile} profile`;
  const late = busy.filter((tookMs) => tookMs > 350).length;
  const [extreme, share] = idle.length >= FAULTS_FOR_P99 ? ['p99', 0.99] : ['worst', 1];
  const note = `${busy.length} faults; ${gigabytes.toFixed(1)} GB carried`;
  return [
    { name: `${name}, idle, median`, value: median(idle), unit: 'ms', samples: idle },
    {
      name: `${name}, idle, ${extreme} of ${idle.length}`,
      value: quantile(idle, share),
      unit: 'ms',
      ...bar(350),
      samples: [],
    },
    { name: `${name}, busy, median`, value: median(busy), unit: 'ms', samples: busy },
    {
      name: `${name}, busy, above 350 ms`,
      value: late,
      unit: '',
      ...bar(2),
      samples: [],
      note,
    },
    { name: `${name}, busy, worst`, value: quantile(busy, 1), unit: 'ms', ...bar(600), samples: [] },
    {
      name: `${name}, busy, false alarms in ${SOAK_SECONDS[profile]} s`,
      value: falseAlarms,
      unit: '',
      ...(held ? { bar: { kind: 'exactly', value: 0 } as const } : {}),
      samples: [],
    },
  ];
}

/** For each fault the milliseconds until the later of both neighbours had no link to the frozen relay. */
async function freezeAll(mesh: StaticMesh, faults: number): Promise<readonly number[]> {
  const samplesMs: number[] = [];
  const thawedMs = new Map<string, number>();
  for (let fault = 0; fault < faults; fault++) {
    const relay = RELAYS[fault % RELAYS.length] ?? 'r1';
    await awaitWatched(mesh, relay);
    await pause((thawedMs.get(relay) ?? 0) + STABLE_MS - performance.now());
    await pause(Math.random() * SPREAD_MS);
    const child = mesh.processes.get(relay);
    const gone = Promise.all(ENDS.map(async (end) => mesh.gone(end, relay)));
    const frozenMs = Number(process.hrtime.bigint()) / 1e6;
    child?.kill('SIGSTOP');
    const atMs = await gone;
    child?.kill('SIGCONT');
    samplesMs.push(Math.max(...atMs) - frozenMs);
    await awaitWatched(mesh, relay);
    thawedMs.set(relay, performance.now());
  }
  return samplesMs;
}

/** Links that detectors took down in that time although nobody was frozen. */
async function soak(mesh: StaticMesh, seconds: number): Promise<number> {
  for (const relay of RELAYS) await awaitWatched(mesh, relay);
  const before = await downs(mesh);
  await pause(seconds * 1000);
  return (await downs(mesh)) - before;
}

async function downs(mesh: StaticMesh): Promise<number> {
  let count = 0;
  for (const node of [...ENDS, ...RELAYS]) {
    const { counters } = await mesh.status(node);
    count += counters['tunnel-ended-LINK_SILENT'] ?? 0;
  }
  return count;
}

/** Until both ends watch the relay by UDP. */
async function awaitWatched(mesh: StaticMesh, relay: string): Promise<void> {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  for (const end of ENDS) {
    while (!(await isWatched(mesh, end, relay))) {
      if (performance.now() > deadlineMs) throw new Error(`${end} does not watch ${relay}`);
      await pause(20);
    }
  }
}

async function isWatched(mesh: StaticMesh, end: string, relay: string): Promise<boolean> {
  const { tunnels } = await mesh.status(end);
  return tunnels.some(({ peer, detector, state }) => peer === relay && detector === 'udp' && state === 'up');
}

/** A stream at full rate that begins again when it ends, and a spinning process a core. */
class Load {
  readonly #port: number;
  readonly #source = new TrafficProcess();
  #spinners: readonly ChildProcess[] = [];
  #isStopped = false;
  gigabytes = 0;

  constructor(port: number) {
    this.#port = port;
  }

  start(): void {
    const spin = ['-e', 'for (;;) {}'];
    this.#spinners = Array.from({ length: availableParallelism() }, () => spawn(process.execPath, spin));
    void this.#send();
  }

  stop(): void {
    this.#isStopped = true;
    for (const spinner of this.#spinners) spinner.kill('SIGKILL');
    this.#source.stop();
  }

  async #send(): Promise<void> {
    const BYTES = 1e9;
    while (!this.#isStopped) {
      const isDone = await this.#source.send(this.#port, BYTES).then(
        () => true,
        () => false,
      );
      if (isDone) this.gigabytes += BYTES / 1e9;
      else await pause(100);
    }
  }
}

async function pause(forMs: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, Math.max(0, forMs));
  });
}
