/** A mesh node without a control plane: its identity and snapshot come from the parent process, over IPC. */
import { createPrivateKey } from 'node:crypto';
import { connect } from 'node:net';
import { startMeshRuntime } from '#apps/node/mesh-runtime.ts';
import { listenTcp } from '#io/edge-listener/tcp-listener.ts';
import { splice } from '#io/stream-splice/splice.ts';
import { createTunnelCredentials } from '#io/tunnel-tls/credentials.ts';
import type { SnapshotBody } from '#trust/snapshot.ts';

export interface StaticNodeConfig {
  readonly name: string;
  readonly trustDomain: string;
  readonly keyPem: string;
  readonly certificatePem: string;
  readonly issuerPems: readonly string[];
  readonly relay: boolean;
  readonly linkPort: number;
  readonly snapshot: SnapshotBody;
  readonly forwards: readonly { readonly service: string; readonly port: number }[];
}

process.once('message', (config: StaticNodeConfig) => {
  void start(config);
});
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.on('SIGTERM', () => process.exit(0));

async function start(config: StaticNodeConfig): Promise<void> {
  const credentials = createTunnelCredentials({ ...config, privateKey: createPrivateKey(config.keyPem) });
  const runtime = await startMeshRuntime({
    credentials: () => credentials,
    relay: config.relay,
    incarnation: Date.now(),
    link: { host: '127.0.0.1', port: config.linkPort },
    connectTarget: async ({ host, port }) => {
      const socket = connect({ host, port, noDelay: true, allowHalfOpen: true });
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
      return socket;
    },
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
  process.on('message', (question: { readonly ask: string }) => {
    if (question.ask === 'status') {
      process.send?.({
        path: config.snapshot.nodes.map(({ name }) => [name, runtime.node.linkState.path(name)]),
        links: runtime.node.tunnels().map((t) => [t.peer.name, t.via, t.state, t.mux.rttMs, t.mux.capBytes]),
        counters: runtime.node.counters,
        memory: process.memoryUsage(),
        cpu: process.cpuUsage(),
      });
    }
  });
  process.send?.({ ready: true });
}
