import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { present } from '#kernel/assert.ts';
import { EvilRelay, type Tamper } from '../harness/evil-relay.ts';
import { awaitPath, startStaticMesh, type StaticMesh, targetAt } from '../harness/static-mesh.ts';
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
    [{ name: 'echo', instances: targetAt(backend.port) }],
    [{ name: 'evil', relay: true, links: ['a', 'b'] }],
  );
  await awaitPath(mesh, 'a', 'b');
  evil = await EvilRelay.start(mesh, 'evil');
  // So that the way through the evil relay is preferred, however slow this process makes it, and the other one is still there.
  await mesh.drain('r2');
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
  return await until(openOnce, (socket) => socket !== undefined, 10_000).then((socket) => present(socket, 'a stream'));
}

/** Undefined when the stream took another way than through the evil relay. */
async function openOnce(): Promise<Socket | undefined> {
  const socket = await open();
  socket.write('hello');
  expect((await readExactly(socket, 5)).toString()).toBe('hello');
  const { streams } = await mesh.status('a');
  if (streams.at(-1)?.hops.join() === 'evil,b') return socket;
  socket.destroy();
  return undefined;
}

async function tunnelsEnded(): Promise<number> {
  const { counters } = await mesh.status('a');
  const codes = ['TRANSPORT_CLOSED', 'TRANSPORT_BROKEN', 'TUNNEL_SILENT'];
  return codes.reduce((sum, code) => sum + (counters[`tunnel-ended-${code}`] ?? 0), 0);
}

/** Whether the latest stream that ended did so with a code. */
async function hasNamedEnd(): Promise<boolean> {
  return /^[A-Z_]+$/.test((await mesh.status('a')).ended.at(-1) ?? '');
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
  'a relay that %s: the stream goes on around it, whole, or ends by name; not a wrong byte arrives, and the next one works',
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
    expect(isPrefix(echoed, SENT)).toBe(true);
    expect(isPrefix(got.subarray(5), SENT)).toBe(true);
    const isWhole = echoed.byteLength === SENT_BYTES && got.byteLength === SENT_BYTES + 5;
    expect(how === 'end' ? isWhole : await hasNamedEnd()).toBe(true);
    expect(await tunnelsEnded()).toBeGreaterThan(endedBefore);
    const next = await open();
    const small = SENT.subarray(0, 200_000);
    expect((await sendAll(next, small)).echoed.equals(small)).toBe(true);
  },
);

/** What became of a stream whose tunnel broke at the evil relay, whether it went around it, and whether `counter` says why. */
async function takeDetour(counter: string, tamper: Tamper): Promise<readonly [string, boolean, boolean, boolean]> {
  const socket = await openThroughEvil();
  evil.tamper = tamper;
  const { how, echoed } = await sendAll(socket, SENT);
  const { counters } = await mesh.status('a');
  const { circuits } = await mesh.status('r2');
  return [how, echoed.equals(SENT), circuits > 0, (counters[counter] ?? 0) > 0];
}

test('a relay that tampers with the next handshake too: the stream goes on around it', async () => {
  const detour = await takeDetour('secure-failed-HANDSHAKE_FAILED', (bytes) => [flip(bytes)]);
  expect(detour).toEqual(['end', true, true, true]);
});

function impersonate(bytes: Uint8Array): Uint8Array[] {
  evil.impersonates = true;
  return [flip(bytes)];
}

test('a relay that answers in the place of the destination: it is not believed, the stream goes on around it', async () => {
  const detour = await takeDetour('secure-failed-CERT_WRONG_ID', once(impersonate, 0));
  expect(detour).toEqual(['end', true, true, true]);
});
