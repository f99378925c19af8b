/** A mesh node without a control plane: its identity and snapshot come from the parent process, over IPC. */
import { createPrivateKey, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { NodePolicy } from '#apps/node/node-policy.ts';
import { DETECTOR_PROFILES, startMeshRuntime } from '#apps/node/mesh-runtime.ts';
import { listenTcp } from '#io/edge-listener/tcp-listener.ts';
import { CedarEvaluator } from '#io/policy-cedar/cedar-evaluator.ts';
import { warmUp } from '#io/policy-cedar/warm-up.ts';
import { splice } from '#io/stream-splice/splice.ts';
import { createTunnelCredentials } from '#io/tunnel-tls/credentials.ts';
import type { Move } from '#mesh/node/conduit-handle.ts';
import type { PathPair } from '#topology/paths.ts';
import { ALLOW_ALL_STREAMS } from '#mesh/node/stream-policy.ts';
import type { PolicyText } from '#trust/policy/engine.ts';
import type { SnapshotBody } from '#trust/snapshot.ts';

export interface StaticNodeConfig {
  readonly name: string;
  readonly trustDomain: string;
  readonly keyPem: string;
  readonly certificatePem: string;
  readonly issuerPems: readonly string[];
  readonly relay: boolean;
  readonly linkHost: string;
  readonly linkPort: number;
  /** Undefined: `normal`. */
  readonly detector?: keyof typeof DETECTOR_PROFILES | undefined;
  readonly snapshot: SnapshotBody;
  readonly forwards: readonly { readonly service: string; readonly port: number }[];
}

/**
 * `opens`: how long the open of each of these services took, in milliseconds; `hold` keeps them open. `policies`: decides by others
 * from now on, and answers when all open streams are decided again. `gone`: waits until there is no link to the peer,
 * and tells when that was, by the system's monotonic clock in milliseconds.
 */
export type StaticNodeQuestion =
  | { readonly ask: 'status' }
  | { readonly ask: 'gone'; readonly peer: string }
  | { readonly ask: 'drain' }
  | { readonly ask: 'renew'; readonly keyPem: string; readonly certificatePem: string }
  | { readonly ask: 'opens'; readonly services: readonly string[] }
  | { readonly ask: 'hold'; readonly services: readonly string[] }
  | { readonly ask: 'policies'; readonly policies: readonly PolicyText[] };

export interface StaticNodeStatus {
  readonly paths: Readonly<Record<string, PathPair>>;
  readonly tunnels: readonly {
    readonly peer: string;
    readonly via: string;
    readonly state: string;
    readonly rttMs: number;
    /** What watches the link. */
    readonly detector: string;
    readonly streams: number;
  }[];
  /** Streams of services that begin or end here. */
  readonly streams: readonly {
    readonly hops: readonly string[];
    readonly state: string;
    readonly moves: readonly Move[];
    readonly moveCount: number;
  }[];
  /** Why the latest streams ended, oldest first; null: both sides were done. */
  readonly ended: readonly (string | null)[];
  /** Circuits that run through the node. */
  readonly circuits: number;
  readonly counters: Readonly<Record<string, number>>;
  /** Counters of the link state. */
  readonly linkState: Readonly<Record<string, number>>;
  readonly memory: NodeJS.MemoryUsage;
  readonly cpu: NodeJS.CpuUsage;
}

process.once('message', (config: StaticNodeConfig) => {
  void start(config);
});
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.on('SIGTERM', () => process.exit(0));

async function start(config: StaticNodeConfig): Promise<void> {
  let credentials = createTunnelCredentials({ ...config, privateKey: createPrivateKey(config.keyPem) });
  const policy = config.snapshot.policies === undefined ? undefined : await createPolicy();
  const runtime = await startMeshRuntime({
    credentials: () => credentials,
    relay: config.relay,
    incarnation: Date.now(),
    link: { host: config.linkHost, port: config.linkPort },
    detector: DETECTOR_PROFILES[config.detector ?? 'normal'],
    connectTarget: async ({ host, port }, _caller, service) => {
      if (service.startsWith(HELD_SERVICE)) return silentTarget();
      const socket = connect({ host, port, noDelay: true, allowHalfOpen: true });
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
      return socket;
    },
    policy: policy ?? ALLOW_ALL_STREAMS,
    gossip: { isSigned: () => false, believe: () => false },
    warn: (code, detail) => process.stderr.write(`${config.name}: ${code} ${detail}\n`),
  });
  let version = 1;
  const loadPolicies = (policies = config.snapshot.policies): void => {
    policy?.handleSnapshot({ ...config.snapshot, policies: policies ?? [] }, version++);
  };
  loadPolicies();
  runtime.node.handleSnapshot(config.snapshot, performance.now());
  runtime.driver.schedule();
  for (const { service, port } of config.forwards) {
    await listenTcp({ host: '127.0.0.1', port }, (socket) => {
      socket.pause();
      runtime.driver.openService(service).then(
        (stream) => void splice(socket, stream),
        () => socket.resetAndDestroy(),
      );
    });
  }
  const status = (): StaticNodeStatus => ({
    paths: Object.fromEntries(config.snapshot.nodes.map(({ name }) => [name, runtime.node.linkState.path(name)])),
    streams: runtime.node.streams.list().map(({ hops, state, moves, moveCount }) => ({
      hops,
      state,
      moves,
      moveCount,
    })),
    tunnels: runtime.node.tunnels().map((tunnel) => ({
      peer: tunnel.peer.name,
      via: tunnel.via,
      state: tunnel.state,
      rttMs: tunnel.mux.rttMs,
      detector: runtime.driver.watchOf(tunnel)?.detector ?? 'in-band',
      streams: tunnel.mux.streamCount,
    })),
    ended: runtime.node.streams.ended().map(({ endReason }) => endReason?.code ?? null),
    circuits: runtime.node.circuitCount,
    counters: runtime.node.counters.toJSON(),
    linkState: runtime.node.linkState.counters.toJSON(),
    memory: process.memoryUsage(),
    cpu: process.cpuUsage(),
  });
  const measureOpens = async (services: readonly string[]): Promise<readonly number[]> => {
    const samplesMs: number[] = [];
    for (const service of services) {
      const startMs = performance.now();
      const stream = await runtime.driver.openService(service);
      samplesMs.push(performance.now() - startMs);
      stream.destroy();
    }
    return samplesMs;
  };
  const hold = async (services: readonly string[]): Promise<number> => {
    for (const service of services) (await runtime.driver.openService(service)).on('error', () => undefined);
    return runtime.node.streams.list().length;
  };
  const decideBy = async (policies: readonly PolicyText[]): Promise<number> => {
    const beganMs = performance.now();
    const sweep = runtime.node.streams.conduits.policy;
    const before = policy?.epoch(Date.now());
    loadPolicies(policies);
    // With pauses, which take nothing from those that work.
    while (policy?.epoch(Date.now()) === before) await pause(LOOK_MS);
    sweep.check(Date.now());
    runtime.driver.schedule();
    while (sweep.isPending) await pause(LOOK_MS);
    return performance.now() - beganMs;
  };
  const linkGone = async (peer: string): Promise<number> => {
    while (runtime.node.tunnels().some((tunnel) => tunnel.via === 'tcp' && tunnel.peer.name === peer))
      await new Promise((resolve) => setTimeout(resolve, 1));
    return Number(process.hrtime.bigint()) / 1e6;
  };
  const drain = (): boolean => {
    runtime.node.setDraining(true, performance.now());
    runtime.driver.schedule();
    return true;
  };
  const renew = (keyPem: string, certificatePem: string): boolean => {
    credentials = createTunnelCredentials({ ...config, certificatePem, privateKey: createPrivateKey(keyPem) });
    runtime.node.handleTrustChanged(performance.now(), false);
    runtime.driver.schedule();
    return true;
  };
  const answer = async (question: StaticNodeQuestion): Promise<unknown> => {
    if (question.ask === 'status') return status();
    if (question.ask === 'drain') return drain();
    if (question.ask === 'renew') return renew(question.keyPem, question.certificatePem);
    if (question.ask === 'gone') return await linkGone(question.peer);
    if (question.ask === 'hold') return await hold(question.services);
    if (question.ask === 'policies') return await decideBy(question.policies);
    return await measureOpens(question.services);
  };
  process.on('message', ({ id, question }: { readonly id: number; readonly question: StaticNodeQuestion }) => {
    void answer(question).then((value) => process.send?.({ id, answer: value }));
  });
  process.send?.({ ready: true });
}

const LOOK_MS = 5;
/** Services of this name have a target without a socket, which says nothing. */
const HELD_SERVICE = 'held-';

function silentTarget(): Duplex {
  return new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
}

/** As a node of the program has it, warm. */
async function createPolicy(): Promise<NodePolicy> {
  const evaluator = new CedarEvaluator();
  await warmUp(evaluator);
  return new NodePolicy({
    evaluator,
    newId: () => randomBytes(16).toString('hex'),
    wallMs: Date.now,
    nowMs: () => performance.now(),
    nextTurn,
    standDown: () => undefined,
    onLoaded: () => undefined,
  });
}
