/** A mesh node without a control plane: its identity and snapshot come from the parent process, over IPC. */
import { createPrivateKey } from 'node:crypto';
import { connect } from 'node:net';
import { DETECTOR_PROFILES, startMeshRuntime } from '#apps/node/mesh-runtime.ts';
import { listenTcp } from '#io/edge-listener/tcp-listener.ts';
import { splice } from '#io/stream-splice/splice.ts';
import { createTunnelCredentials } from '#io/tunnel-tls/credentials.ts';
import type { Move } from '#mesh/node/conduit-handle.ts';
import type { PathPair } from '#topology/paths.ts';
import { ALLOW_ALL_STREAMS } from '#mesh/node/stream-policy.ts';
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
 * `opens`: how long each of so many opens of a service took, in milliseconds. `gone`: waits until there is no link to the peer,
 * and tells when that was, by the system's monotonic clock in milliseconds.
 */
export type StaticNodeQuestion =
  | { readonly ask: 'status' }
  | { readonly ask: 'gone'; readonly peer: string }
  | { readonly ask: 'drain' }
  | { readonly ask: 'renew'; readonly keyPem: string; readonly certificatePem: string }
  | { readonly ask: 'opens'; readonly service: string; readonly count: number };

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
  const runtime = await startMeshRuntime({
    credentials: () => credentials,
    relay: config.relay,
    incarnation: Date.now(),
    link: { host: config.linkHost, port: config.linkPort },
    detector: DETECTOR_PROFILES[config.detector ?? 'normal'],
    connectTarget: async ({ host, port }) => {
      const socket = connect({ host, port, noDelay: true, allowHalfOpen: true });
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
      return socket;
    },
    policy: ALLOW_ALL_STREAMS,
    gossip: { isSigned: () => false, believe: () => false },
    warn: (code, detail) => process.stderr.write(`${config.name}: ${code} ${detail}\n`),
  });
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
  const measureOpens = async (service: string, count: number): Promise<readonly number[]> => {
    const samplesMs: number[] = [];
    for (let i = 0; i < count; i++) {
      const startMs = performance.now();
      const stream = await runtime.driver.openService(service);
      samplesMs.push(performance.now() - startMs);
      stream.destroy();
    }
    return samplesMs;
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
    return await measureOpens(question.service, question.count);
  };
  process.on('message', ({ id, question }: { readonly id: number; readonly question: StaticNodeQuestion }) => {
    void answer(question).then((value) => process.send?.({ id, answer: value }));
  });
  process.send?.({ ready: true });
}
