import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createTunnelCredentials, type TunnelCredentials } from '#io/tunnel-tls/credentials.ts';
import { secureAsAcceptor, secureAsDialer } from '#io/tunnel-tls/handshake.ts';
import { createTestCa } from '../../tests/fixtures/test-ca.ts';
import { freePort } from '../../tests/harness/static-mesh.ts';
import type { Figure, Scenario } from '../lib/figure.ts';
import { startLineMesh } from '../lib/line-mesh.ts';
import { PipeLine } from '../lib/pipe-line.ts';
import { median, quantile } from '../lib/statistics.ts';
import { TrafficProcess } from '../lib/traffic.ts';

const HANDSHAKES = 60;
const WARM_UP = 200;
const ROUNDS = 1_000;
const TURNS = 10;
const OPENS = 300;

/** What waits cost: handshakes, opening a stream on a warm tunnel, and round trips on an open one. */
export const latency: Scenario = {
  name: 'latency',
  about: `${HANDSHAKES} handshakes, ${OPENS} opens and ${ROUNDS} round trips of 64 bytes between real TCP ends`,
  run: async () => [
    ...(await handshakes()),
    ...(await streams('direct', 0, 1, 0.3)),
    ...(await streams('one relay', 1, 2, 0.5)),
  ],
};

async function handshakes(): Promise<readonly Figure[]> {
  const ca = await createTestCa();
  const identity = async (name: string): Promise<TunnelCredentials> => {
    const { certPem, keyPem } = await ca.issue({ name });
    const { trustDomain, issuerPem } = ca;
    const privateKey = createPrivateKey(keyPem);
    return createTunnelCredentials({ name, trustDomain, privateKey, certificatePem: certPem, issuerPems: [issuerPem] });
  };
  const [near, far] = [await identity('near'), await identity('far')];
  const milliseconds: number[] = [];
  const sent: number[] = [];
  const received: number[] = [];
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  for (let i = 0; i < HANDSHAKES + 5; i++) {
    const accepted = once(listener, 'connection').then(async ([socket]) =>
      secureAsAcceptor(socket as Socket, { credentials: far, isRevoked: () => false }),
    );
    const raw = connect({ host: '127.0.0.1', port: (listener.address() as AddressInfo).port, noDelay: true });
    await once(raw, 'connect');
    const startMs = performance.now();
    const dialled = await secureAsDialer(raw, { credentials: near, isRevoked: () => false });
    const other = await accepted;
    if (i >= 5) {
      milliseconds.push(performance.now() - startMs);
      sent.push(raw.bytesWritten / 1000);
      received.push(raw.bytesRead / 1000);
    }
    dialled.socket.destroy();
    other.socket.destroy();
  }
  listener.close();
  return [
    {
      name: 'handshake, both ends, p50',
      value: median(milliseconds),
      unit: 'ms',
      bar: most(10),
      samples: milliseconds,
    },
    { name: 'handshake, bytes of the dialler', value: quantile(sent, 1), unit: 'kB', bar: most(18), samples: sent },
    {
      name: 'handshake, bytes of the acceptor',
      value: quantile(received, 1),
      unit: 'kB',
      bar: most(18),
      samples: received,
    },
  ];
}

async function streams(
  name: string,
  relays: number,
  openBarMs: number,
  roundBarMs: number,
): Promise<readonly Figure[]> {
  const port = await freePort();
  const echo = await new TrafficProcess().serve('echo', port);
  const client = new TrafficProcess();
  const line = await startLineMesh(relays, port);
  await client.rounds(line.port, WARM_UP, false);
  await client.rounds(line.port, 50, true);
  const opens = await line.mesh.opens('a', 'target', OPENS);
  const echoes = await client.rounds(line.port, OPENS, true);
  const pipes = await PipeLine.start(relays + 2, port);
  await client.rounds(pipes.port, WARM_UP, false);
  const { ours: rounds, plain } = await alternately(client, line.port, pipes.port);
  pipes.stop();
  await line.mesh.stop();
  echo.stop();
  client.stop();
  return [
    {
      name: `open a stream on a warm tunnel, ${name}, p50`,
      value: median(opens),
      unit: 'ms',
      bar: { kind: 'at most', value: openBarMs },
      samples: opens,
      note: 'OPEN to ACCEPT, the target connected in between',
    },
    {
      name: `the same seen by a TCP client, with its first echo, ${name}, p50`,
      value: median(echoes),
      unit: 'ms',
      samples: echoes,
      note: 'and with connecting to the node and a round trip',
    },
    {
      name: `round trip of 64 bytes, ${name}, p50`,
      value: median(rounds),
      unit: 'ms',
      bar: { kind: 'at most', value: roundBarMs },
      samples: rounds,
    },
    { name: `round trip of 64 bytes, ${name}, p99`, value: quantile(rounds, 0.99), unit: 'ms', samples: [] },
    {
      name: `round trip of 64 bytes, plain TCP pipes with the hops of ${name}, p50`,
      value: median(plain),
      unit: 'ms',
      samples: plain,
      note: 'the same machine, in turns with ours',
    },
  ];
}

/** Round trips over both ways in turns: what an idle core costs to wake changes within minutes. */
async function alternately(
  client: TrafficProcess,
  ourPort: number,
  plainPort: number,
): Promise<{ readonly ours: readonly number[]; readonly plain: readonly number[] }> {
  const ours: number[] = [];
  const plain: number[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    // The first of a stream connects it.
    ours.push(...(await client.rounds(ourPort, ROUNDS / TURNS + 1, false)).slice(1));
    plain.push(...(await client.rounds(plainPort, ROUNDS / TURNS + 1, false)).slice(1));
  }
  return { ours, plain };
}

function most(value: number): { readonly kind: 'at most'; readonly value: number } {
  return { kind: 'at most', value };
}
