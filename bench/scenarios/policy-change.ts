import type { Socket } from 'node:net';
import { AdminClient } from '#io/admin-client-http/admin-client.ts';
import { openBySocks, openEcho, readExactly } from '../../tests/harness/tcp.ts';
import { until, UpMesh } from '../../tests/harness/up.ts';
import type { Scenario } from '../lib/figure.ts';
import { median } from '../lib/statistics.ts';

const ROUNDS = 5;
const STREAMS_A_NODE = 10;
const NODES = ['oslo', 'rome', 'delhi', 'cairo', 'kyoto', 'lima'];
const POLICY = 'expose-echo-members';
const TEXT =
  'permit(principal in X0::Group::"members", action == X0::Action::"connect", resource == X0::Service::"echo");';
const OPEN_WITHIN_MS = 20_000;

/** From the request that takes a policy away to the last live stream's end, at every node of a mesh of real processes. */
export const policyChange: Scenario = {
  name: 'policy-change',
  about: `${ROUNDS} times a policy is deleted while ${NODES.length} node processes have ${STREAMS_A_NODE} streams each that it allowed`,
  run: async () => {
    const mesh = await UpMesh.start();
    const echo = await openEcho();
    try {
      await mesh.x0('expose', 'echo', '--to', `127.0.0.1:${echo.port}`, '--node', 'lima');
      await mesh.x0('policy', 'delete', 'local-allow-members');
      const client = new AdminClient(mesh.dataDir);
      const samples: number[] = [];
      for (let round = 0; round < ROUNDS; round++) samples.push(await measureRound(mesh, client));
      const worst = Math.max(...samples);
      return [
        { name: 'policy change to last live stream closed, median', value: median(samples), unit: 'ms', samples },
        {
          name: 'policy change to last live stream closed, worst',
          value: worst,
          unit: 'ms',
          bar: { kind: 'at most', value: 1_000 },
          samples: [worst],
        },
      ];
    } finally {
      await mesh.stop();
      await echo.close();
    }
  },
};

async function measureRound(mesh: UpMesh, client: AdminClient): Promise<number> {
  await client.ask('PUT', `/policies/${POLICY}`, { text: TEXT });
  const sockets: Socket[] = [];
  for (const node of NODES) {
    const port = await mesh.socks(node);
    for (let at = 0; at < STREAMS_A_NODE; at++) sockets.push(await openEchoStream(port));
  }
  const closed = Promise.all(sockets.map(async (socket) => new Promise((resolve) => socket.once('close', resolve))));
  const beganMs = performance.now();
  await Promise.all([client.ask('DELETE', `/policies/${POLICY}`), closed]);
  return performance.now() - beganMs;
}

async function openEchoStream(port: number): Promise<Socket> {
  const socket = await until(
    async () => openBySocks(port, 'echo').catch(() => undefined),
    (opened) => opened !== undefined,
    OPEN_WITHIN_MS,
  );
  if (socket === undefined) throw new Error('no stream');
  socket.on('error', () => undefined);
  socket.write('x');
  await readExactly(socket, 1);
  return socket;
}
