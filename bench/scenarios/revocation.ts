import type { Socket } from 'node:net';
import { openBackend, openBySocks, readExactly, type TcpBackend } from '../../tests/harness/tcp.ts';
import { until } from '../../tests/harness/up.ts';
import type { Figure, Scenario } from '../lib/figure.ts';
import { ManyNodes } from '../lib/many-nodes.ts';
import { median } from '../lib/statistics.ts';

const NODES = 14;
const RELAYS = 4;
/** Where the service is: two ends. */
const HOSTS = ['n04', 'n05'] as const;
const FIRST_CALLER = 6;
const STREAMS_A_NODE = 2;
const POLICY_ROUNDS = 5;
const CALLERS_REVOKED = 5;
const START_WITHIN_MS = 180_000;
const OPEN_WITHIN_MS = 30_000;
/** Beyond this a round has failed. */
const CLOSED_WITHIN_MS = 30_000;
const ID_BYTES = 8;
const POLICY = 'expose-echo-members';
const TEXT =
  'permit(principal in X0::Group::"members", action == X0::Action::"connect", resource == X0::Service::"echo");';

/** From the request to the end of the last live stream that it is about, at either of its ends, with real processes. */
export const revocation: Scenario = {
  name: 'revocation',
  about: `${NODES} node processes and fewer if they are not up within ${START_WITHIN_MS / 1_000} s, ${STREAMS_A_NODE} streams each`,
  run: async () => {
    const echo = await TaggedEcho.open();
    const mesh = await ManyNodes.start(NODES, RELAYS, START_WITHIN_MS);
    try {
      for (const node of HOSTS) {
        await mesh.client.ask('PUT', `/services/echo/instances/${node}`, { host: '127.0.0.1', port: echo.port });
      }
      const changes: number[] = [];
      for (let round = 0; round < POLICY_ROUNDS; round++) changes.push(await changePolicy(mesh, echo));
      const revoked = await revokeSome(mesh, echo);
      return [
        { name: 'node processes, beside one control plane', value: mesh.names.length, unit: '', samples: [] },
        ...figures('policy change to last live stream closed', changes, 1_000),
        ...figures('revocation to last live stream closed', revoked, 2_000),
      ];
    } finally {
      await mesh.stop();
      await echo.close();
    }
  },
};

function figures(name: string, samples: readonly number[], most: number): readonly Figure[] {
  const worst = Math.max(...samples);
  return [
    { name: `${name}, median`, value: median(samples), unit: 'ms', samples },
    { name: `${name}, worst`, value: worst, unit: 'ms', bar: { kind: 'at most', value: most }, samples: [worst] },
  ];
}

/** An echo whose ends of streams are found again by what was said first. */
class TaggedEcho {
  readonly #backend: TcpBackend;
  readonly #sockets = new Map<string, Socket>();

  private constructor(backend: TcpBackend) {
    this.#backend = backend;
  }

  static async open(): Promise<TaggedEcho> {
    const backend = await openBackend((socket) => {
      socket.once('data', (first: Buffer) => echo.#sockets.set(first.toString('latin1'), socket));
      socket.on('data', (chunk: Buffer) => socket.write(chunk));
      socket.once('end', () => socket.end());
    });
    const echo = new TaggedEcho(backend);
    return echo;
  }

  get port(): number {
    return this.#backend.port;
  }

  async close(): Promise<void> {
    await this.#backend.close();
  }

  /** The target's end of a stream. */
  socketOf(id: string): Socket {
    const socket = this.#sockets.get(id);
    if (socket === undefined) throw new Error(`no stream ${id}`);
    return socket;
  }
}

interface LiveStream {
  readonly node: string;
  readonly near: Socket;
  readonly far: Socket;
}

let nextId = 1;

async function openStreams(mesh: ManyNodes, echo: TaggedEcho, nodes: readonly string[]): Promise<LiveStream[]> {
  const ports = await mesh.socksPorts();
  const streams: LiveStream[] = [];
  for (const node of nodes) {
    for (let at = 0; at < STREAMS_A_NODE; at++) {
      const near = await until(
        async () => openBySocks(ports.get(node) ?? 0, 'echo').catch((error: unknown) => `${node}: ${String(error)}`),
        (socket) => typeof socket !== 'string',
        OPEN_WITHIN_MS,
      );
      if (typeof near === 'string') throw new Error(near);
      near.on('error', () => undefined);
      const id = String(nextId++).padStart(ID_BYTES, '0');
      near.write(id);
      await readExactly(near, ID_BYTES);
      near.resume();
      streams.push({ node, near, far: echo.socketOf(id) });
    }
  }
  return streams;
}

/** Milliseconds until all of these are closed at both ends. */
async function timeUntilClosed(streams: readonly LiveStream[], act: () => Promise<unknown>): Promise<number> {
  const ends = streams.flatMap(({ near, far }) => [near, far]);
  if (ends.length === 0 || ends.some((end) => end.destroyed)) throw new Error('they were not all open');
  const closed = Promise.all(ends.map(async (end) => new Promise((resolve) => end.once('close', resolve))));
  const late = new Promise((_resolve, reject) => {
    setTimeout(() => reject(new Error(describeOpen(streams))), CLOSED_WITHIN_MS).unref();
  });
  const beganMs = performance.now();
  await Promise.race([Promise.all([act(), closed]), late]);
  return performance.now() - beganMs;
}

function describeOpen(streams: readonly LiveStream[]): string {
  const open = streams.filter(({ near, far }) => !near.destroyed || !far.destroyed);
  const names = open.map(({ node, near }) => `${node} at its ${near.destroyed ? 'far' : 'near'} end`);
  return `after ${CLOSED_WITHIN_MS} ms still open: ${names.join(', ')}`;
}

async function changePolicy(mesh: ManyNodes, echo: TaggedEcho): Promise<number> {
  await mesh.client.ask('PUT', `/policies/${POLICY}`, { text: TEXT });
  const streams = await openStreams(mesh, echo, mesh.names.slice(FIRST_CALLER));
  return await timeUntilClosed(streams, async () => mesh.client.ask('DELETE', `/policies/${POLICY}`));
}

/** One caller after the other; the streams of the others stay open. */
async function revokeSome(mesh: ManyNodes, echo: TaggedEcho): Promise<readonly number[]> {
  await mesh.client.ask('PUT', `/policies/${POLICY}`, { text: TEXT });
  const streams = await openStreams(mesh, echo, mesh.names.slice(FIRST_CALLER));
  const samples: number[] = [];
  for (const node of mesh.names.slice(FIRST_CALLER, FIRST_CALLER + CALLERS_REVOKED)) {
    const own = streams.filter((stream) => stream.node === node);
    samples.push(await timeUntilClosed(own, async () => mesh.client.ask('POST', `/nodes/${node}/revoke`)));
  }
  const others = streams.filter(({ node }) => mesh.names.indexOf(node) >= FIRST_CALLER + CALLERS_REVOKED);
  const broken = others.filter(({ near, far }) => near.destroyed || far.destroyed);
  if (others.length === 0 || broken.length > 0) throw new Error(`${broken.length} streams of others were closed too`);
  return samples;
}
