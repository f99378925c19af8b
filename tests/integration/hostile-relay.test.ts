import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { EvilRelay, type Tamper } from '../harness/evil-relay.ts';
import { awaitPath, startStaticMesh, type StaticMesh } from '../harness/static-mesh.ts';
import { connectTcp, openBackend, readExactly, seededBytes, type TcpBackend } from '../harness/tcp.ts';
import { until } from '../harness/up.ts';

const MIB = 1_048_576;
const SENT_BYTES = 2 * MIB;
const SENT = seededBytes('hostile relay', SENT_BYTES);

let mesh: StaticMesh;
let backend: TcpBackend;
let evil: EvilRelay;
/** What each connection of the backend got, the latest last. */
const received: Buffer[][] = [];
const sockets: Socket[] = [];

beforeAll(async () => {
  backend = await openBackend((socket) => {
    const chunks: Buffer[] = [];
    received.push(chunks);
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      socket.write(chunk);
    });
    socket.once('end', () => socket.end());
  });
  mesh = await startStaticMesh(
    [
      { name: 'a', relay: false, links: ['evil', 'r1'], forwards: ['echo'] },
      { name: 'b', relay: false, links: ['evil', 'r3'] },
      { name: 'r1', relay: true, links: ['a', 'r2'] },
      { name: 'r2', relay: true, links: ['r1', 'r3'] },
      { name: 'r3', relay: true, links: ['r2', 'b'] },
    ],
    [{ name: 'echo', instances: [{ node: 'b', host: '127.0.0.1', port: backend.port, proxyProtocol: false }] }],
    [{ name: 'evil', relay: true, links: ['a', 'b'] }],
  );
  await awaitPath(mesh, 'a', 'b');
  evil = await EvilRelay.start(mesh, 'evil');
});

afterEach(() => {
  evil.tamper = undefined;
  evil.impersonates = false;
  for (const socket of sockets.splice(0)) socket.destroy();
});

afterAll(async () => {
  evil.stop();
  await mesh.stop();
  await backend.close();
});

async function open(): Promise<Socket> {
  const socket = await connectTcp(mesh.port('a', 'echo'));
  sockets.push(socket);
  return socket;
}

/** A stream whose path leads through the evil relay, and that has carried bytes. */
async function openThroughEvil(): Promise<Socket> {
  await until(
    async () => await mesh.status('a'),
    (status) => status.paths['b']?.primary?.hops.join() === 'evil,b',
    10_000,
  );
  const socket = await open();
  socket.write('hello');
  expect((await readExactly(socket, 5)).toString()).toBe('hello');
  return socket;
}

async function tunnelsEnded(): Promise<number> {
  const { counters } = await mesh.status('a');
  return (counters['tunnel-ended-TRANSPORT_CLOSED'] ?? 0) + (counters['tunnel-ended-TUNNEL_SILENT'] ?? 0);
}

interface Ending {
  readonly how: string;
  readonly echoed: Buffer;
}

/** Sends everything while it reads what comes back, to the end of the stream. */
async function sendAll(socket: Socket, bytes: Buffer): Promise<Ending> {
  const chunks: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.once('end', () => resolve('end'));
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
  socket.once('close', () => resolve('close'));
  socket.end(bytes);
  return { how: await promise, echoed: Buffer.concat(chunks) };
}

function isPrefix(part: Buffer, whole: Buffer): boolean {
  return part.byteLength <= whole.byteLength && part.equals(whole.subarray(0, part.byteLength));
}

function flip(bytes: Uint8Array): Uint8Array {
  const flipped = new Uint8Array(bytes);
  const middle = flipped.byteLength >> 1;
  flipped[middle] = (flipped[middle] ?? 0) ^ 1;
  return flipped;
}

/** Does it once, to a piece that is not among the first. */
function once(act: Tamper, after = 4): Tamper {
  let pieces = 0;
  return (bytes, history) => (pieces++ === after ? act(bytes, history) : [bytes]);
}

function swapping(): Tamper {
  let held: Uint8Array | undefined;
  let pieces = 0;
  return (bytes) => {
    if (pieces++ < 4) return [bytes];
    if (held === undefined) {
      held = new Uint8Array(bytes);
      return [];
    }
    const first = held;
    held = undefined;
    return [bytes, first];
  };
}

const TAMPERS: readonly (readonly [string, () => Tamper])[] = [
  ['flips one bit', () => once((bytes) => [flip(bytes)])],
  ['drops a piece', () => once(() => [])],
  ['drops one byte', () => once((bytes) => [bytes.subarray(1)])],
  ['sends a piece twice', () => once((bytes) => [bytes, bytes])],
  ['swaps pieces', swapping],
  ['replays what it carried before', () => once((bytes, history) => [bytes, history[0] ?? bytes])],
  ['adds bytes of its own', () => once((bytes) => [seededBytes('garbage', 400), bytes])],
  ['ends the circuit early, in good order', () => once(() => 'finish')],
  ['swallows everything', () => () => []],
];

test.each(TAMPERS)(
  'a relay that %s: the stream is reset, not a wrong byte arrives, and the next one works',
  async (_what, make) => {
    const socket = await openThroughEvil();
    const endedBefore = await tunnelsEnded();
    const connections = received.length;
    evil.tampered = 0;
    evil.tamper = make();
    const { how, echoed } = await sendAll(socket, SENT);
    evil.tamper = undefined;
    const got = Buffer.concat(received[connections - 1] ?? []);
    expect(evil.tampered).toBeGreaterThan(0);
    expect(how).toBe('ECONNRESET');
    expect(isPrefix(echoed, SENT)).toBe(true);
    expect(isPrefix(got.subarray(5), SENT)).toBe(true);
    expect(await tunnelsEnded()).toBe(endedBefore + 1);
    const next = await open();
    const small = SENT.subarray(0, 200_000);
    expect((await sendAll(next, small)).echoed.equals(small)).toBe(true);
  },
);

/** Leaves the two nodes without a tunnel between them. */
async function breakTunnel(): Promise<void> {
  const socket = await openThroughEvil();
  evil.tamper = once((bytes) => [flip(bytes)], 0);
  await sendAll(socket, SENT);
  evil.tamper = undefined;
}

/** What became of the next stream, how many circuits lead around the evil relay, and how often `counter` says why. */
async function takeDetour(counter: string): Promise<readonly [string, boolean, number, number | undefined]> {
  const { how, echoed } = await sendAll(await open(), SENT);
  const { circuits } = await mesh.status('r2');
  return [how, echoed.equals(SENT), circuits, (await mesh.status('a')).counters[counter]];
}

/** Ends the tunnel that leads around the evil relay, so that the next one is built anew. */
async function endDetour(): Promise<void> {
  const r2 = mesh.processes.get('r2');
  r2?.kill('SIGSTOP');
  await until(
    async () => (await mesh.status('a')).tunnels.filter((tunnel) => tunnel.via === 'circuit'),
    (tunnels) => tunnels.length === 0,
    8_000,
  );
  r2?.kill('SIGCONT');
  await until(
    async () => await mesh.status('a'),
    (status) => status.paths['b']?.backup !== undefined,
    10_000,
  );
}

test('a relay that tampers with the handshake: the stream takes the backup path around it', async () => {
  await breakTunnel();
  evil.tamper = (bytes) => [flip(bytes)];
  expect(await takeDetour('secure-failed-HANDSHAKE_FAILED')).toEqual(['end', true, 1, 1]);
});

test('a relay that answers in the place of the destination: it is not believed, the stream goes around it', async () => {
  await endDetour();
  evil.impersonates = true;
  expect(await takeDetour('secure-failed-CERT_WRONG_ID')).toEqual(['end', true, 1, 1]);
});
