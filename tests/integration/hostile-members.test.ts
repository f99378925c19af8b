import { createHash, sign } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { encodeBody } from '#mesh/linkstate/body.ts';
import { encodeMessage, type Message, parseMessage } from '#mesh/linkstate/messages.ts';
import { attachSignature, encodeUnsigned, parseRecord, signatureInput } from '#mesh/linkstate/record.ts';
import { StreamKind } from '#mesh/mux/frame.ts';
import type { MuxStream } from '#mesh/mux/stream.ts';
import { delimitMessage, MessageReader } from '#mesh/node/message-reader.ts';
import { MAX_MESSAGE_BYTES } from '#mesh/linkstate/limits.ts';
import type { TestLeaf } from '../fixtures/test-ca.ts';
import { RawPeer } from '../harness/raw-peer.ts';
import { awaitPath, startStaticMesh, type StaticMesh, targetAt } from '../harness/static-mesh.ts';
import { connectTcp, echoThrough, openEcho, readExactly, seededBytes, type TcpBackend } from '../harness/tcp.ts';
import { until } from '../harness/up.ts';

const MIB = 1_048_576;

let mesh: StaticMesh;
let echo: TcpBackend;
const peers: RawPeer[] = [];

beforeAll(async () => {
  echo = await openEcho();
  mesh = await startStaticMesh(
    [
      { name: 'a', relay: false, links: ['r'], forwards: ['echo'] },
      { name: 'r', relay: true, links: ['a', 'b', 'mal', 'guest'] },
      { name: 'b', relay: false, links: ['r'] },
    ],
    [{ name: 'echo', instances: targetAt(echo.port) }],
    [
      { name: 'mal', relay: true, links: ['r'] },
      { name: 'guest', relay: false, links: ['r'] },
    ],
  );
  await awaitPath(mesh, 'a', 'b');
});

afterEach(async () => {
  for (const peer of peers.splice(0)) await peer.close();
});

afterAll(async () => {
  await mesh.stop();
  await echo.close();
});

/** Makes records of one origin, properly signed and each newer than the last. */
class Author {
  readonly #origin: string;
  readonly #leaf: TestLeaf;
  readonly #incarnation = Date.now();
  #sequence = 0;

  constructor(origin: string, leaf: TestLeaf) {
    this.#origin = origin;
    this.#leaf = leaf;
  }

  /** `cost` makes every one different to paths. */
  record(cost: number): Uint8Array {
    const unsigned = encodeUnsigned({
      origin: this.#origin,
      incarnation: this.#incarnation,
      sequence: ++this.#sequence,
      certificateHash: createHash('sha256').update(this.#leaf.der).digest(),
      body: encodeBody({ neighbours: new Map([['r', cost]]), relay: true, draining: false, issuedAtMs: Date.now() }),
    });
    return attachSignature(unsigned, sign(null, signatureInput(unsigned), this.#leaf.key));
  }
}

/** A member that speaks link state by hand, and keeps every record that it is given. */
class Gossip {
  readonly peer: RawPeer;
  readonly leaf: TestLeaf;
  readonly records = new Map<string, Uint8Array[]>();
  readonly #stream: MuxStream<undefined>;

  private constructor(peer: RawPeer, leaf: TestLeaf) {
    this.peer = peer;
    this.leaf = leaf;
    const opened = peer.mux.open(StreamKind.linkstate, new Uint8Array(), undefined, 'local');
    if (!opened.ok) throw new Error(opened.error);
    this.#stream = opened.value;
    const reader = new MessageReader(MAX_MESSAGE_BYTES);
    peer.onEvent = (event) => {
      if (event.kind !== 'data') return;
      reader.handleBytes(event.bytes, (message) => this.#handle(message));
      peer.mux.consume(event.stream, event.bytes.byteLength, performance.now());
    };
    peer.pump();
  }

  static async join(name: string, leaf: TestLeaf): Promise<Gossip> {
    const peer = await RawPeer.link(mesh.ca, name, 'r', mesh.linkPort('r'), leaf);
    peers.push(peer);
    return new Gossip(peer, leaf);
  }

  /** The last record of an origin. */
  last(origin: string): Uint8Array {
    const record = this.records.get(origin)?.at(-1);
    if (record === undefined) throw new Error(`no record of ${origin}`);
    return record;
  }

  send(message: Message): void {
    this.peer.mux.send(this.#stream, delimitMessage(encodeMessage(message)), performance.now());
  }

  #handle(bytes: Uint8Array): void {
    const message = parseMessage(new Uint8Array(bytes));
    if (!message.ok) throw new Error(message.error);
    if (message.value.kind === 'certificate-request') this.send({ kind: 'certificate', der: this.leaf.der });
    if (message.value.kind === 'digest') {
      this.send({ kind: 'request', origins: message.value.entries.map((entry) => entry.origin) });
    }
    if (message.value.kind !== 'record') return;
    const record = parseRecord(message.value.record);
    if (!record.ok) throw new Error(record.error);
    this.records.set(record.value.origin, [...(this.records.get(record.value.origin) ?? []), message.value.record]);
  }
}

async function count(node: string, counter: string): Promise<number> {
  return (await mesh.status(node)).linkState[counter] ?? 0;
}

/** Milliseconds of one question and answer on a stream. */
async function askEcho(socket: Awaited<ReturnType<typeof connectTcp>>): Promise<number> {
  const startMs = performance.now();
  socket.write('hello');
  expect((await readExactly(socket, 5)).toString()).toBe('hello');
  return performance.now() - startMs;
}

test('an old record of another node, sent again by a member, changes nothing', async () => {
  const leaf = await mesh.ca.issue({ name: 'guest' });
  const [mal, guest] = [
    await Gossip.join('mal', await mesh.ca.issue({ name: 'mal' })),
    await Gossip.join('guest', leaf),
  ];
  const author = new Author('guest', leaf);
  const first = author.record(100);
  guest.send({ kind: 'record', record: first });
  guest.peer.pump();
  await until(
    () => mal.records.get('guest')?.some((record) => Buffer.from(record).equals(first)) ?? false,
    (has) => has,
    5000,
  );
  guest.send({ kind: 'record', record: author.record(200) });
  guest.peer.pump();
  await until(
    () => Buffer.from(mal.last('guest')).equals(first),
    (isOld) => !isOld,
    5000,
  );
  const newest = mal.last('guest');
  const stale = await count('r', 'record-stale');
  for (let i = 0; i < 50; i++) mal.send({ kind: 'record', record: first });
  mal.peer.pump();
  await until(
    async () => await count('r', 'record-stale'),
    (now) => now === stale + 50,
    5000,
  );
  // Whoever sends an old one is told the newer.
  expect(Buffer.from(mal.last('guest')).equals(newest)).toBe(true);
});

const STORM_RECORDS = 4000;
const STORM_MS = 3000;

test('a storm of valid records of one member: its rate bounds it, it is counted, and neighbours serve on', async () => {
  const leaf = await mesh.ca.issue({ name: 'mal' });
  // Before it links: signing takes longer than a silent link lives.
  const author = new Author('mal', leaf);
  const records = Array.from({ length: STORM_RECORDS }, (_unused, index) => author.record(1 + index));
  const mal = await Gossip.join('mal', leaf);
  const socket = await connectTcp(mesh.port('a', 'echo'));
  await askEcho(socket);
  const [accepted, cpu] = [await count('a', 'record-accepted'), (await mesh.status('r')).cpu];
  const timesMs: number[] = [];
  const startMs = performance.now();
  for (let elapsedMs = 0; elapsedMs < STORM_MS; elapsedMs = performance.now() - startMs) {
    const due = records.splice(0, STORM_RECORDS * (elapsedMs / STORM_MS) - (STORM_RECORDS - records.length));
    for (const record of due) mal.send({ kind: 'record', record });
    mal.peer.pump();
    timesMs.push(await askEcho(socket));
  }
  socket.destroy();
  const passedOn = (await count('a', 'record-accepted')) - accepted;
  const { user } = (await mesh.status('r')).cpu;
  const slowestMs = Math.max(...timesMs);
  console.log(
    `${STORM_RECORDS} records in ${STORM_MS} ms: ${passedOn} passed on, ${((user - cpu.user) / 1e6).toFixed(1)} s of CPU, ` +
      `slowest of ${timesMs.length} echoes ${slowestMs.toFixed(0)} ms`,
  );
  expect(await count('r', 'record-origin-rate')).toBeGreaterThan(STORM_RECORDS / 2);
  expect(passedOn).toBeLessThan(100);
  expect(slowestMs).toBeLessThan(1000);
});

/** Between two looks at what the neighbours hold. */
const SAMPLE_MS = 200;
const FROZEN_MS = Number(process.env['FROZEN_MS'] ?? 5000);

test('a node that is stopped while it is sent a lot costs its neighbours no memory, and goes on where it was when it is let', async () => {
  const socket = await connectTcp(mesh.port('a', 'echo'));
  await askEcho(socket);
  const before = await residentMib();
  const frozen = mesh.processes.get('b');
  frozen?.kill('SIGSTOP');
  const piece = seededBytes('frozen', MIB);
  let [written, echoed, isRight] = [0, 0, true];
  socket.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.byteLength; ) {
      const start = (echoed + at) % MIB;
      const length = Math.min(chunk.byteLength - at, MIB - start);
      isRight &&= chunk.subarray(at, at + length).equals(piece.subarray(start, start + length));
      at += length;
    }
    echoed += chunk.byteLength;
  });
  const writing = setInterval(() => {
    if (socket.writableLength >= 64 * MIB || socket.destroyed) return;
    socket.write(piece);
    written += MIB;
  }, 5);
  const peaks: number[] = [];
  for (const startMs = performance.now(); performance.now() - startMs < FROZEN_MS; ) {
    peaks.push(...(await residentMib()).map((mib, index) => mib - (before[index] ?? 0)));
    await pause(SAMPLE_MS);
  }
  clearInterval(writing);
  frozen?.kill('SIGCONT');
  console.log(`neighbours grew by at most ${Math.max(...peaks).toFixed(0)} MiB in ${FROZEN_MS} ms`);
  expect(Math.max(...peaks)).toBeLessThan(64);
  await until(
    () => socket.destroyed || echoed === written,
    (isOver) => isOver,
    30_000,
  );
  const { streams } = await mesh.status('a');
  console.log(
    `the stream ${socket.destroyed ? 'ended' : `moved ${streams.at(-1)?.moveCount} times and brought ${echoed / MIB} MiB back`}`,
  );
  expect([socket.destroyed, isRight]).toEqual([false, true]);
  socket.destroy();
  const again = await until(
    async () => await echoThrough(mesh.port('a', 'echo')).catch(String),
    (answer) => answer === 'hello',
    10_000,
  );
  expect(again).toBe('hello');
}, 60_000);

/** Of the relay and of the sender. */
async function residentMib(): Promise<readonly number[]> {
  const all = await Promise.all(['r', 'a'].map(async (name) => await mesh.status(name)));
  return all.map(({ memory }) => memory.rss / MIB);
}
