import { readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { present } from '#kernel/assert.ts';
import { encodeConduitAttach, encodeConduitOpen } from '#mesh/conduit/conduit-open.ts';
import { StreamKind } from '#mesh/mux/frame.ts';
import type { MuxStream } from '#mesh/mux/stream.ts';
import { RawPeer } from '../harness/raw-peer.ts';
import { awaitPath, freePort, startStaticMesh, type StaticMesh, targetAt } from '../harness/static-mesh.ts';
import { echoThrough, openBackend, openEcho, type TcpBackend } from '../harness/tcp.ts';
import { until } from '../harness/up.ts';

const MIB = 1_048_576;
/** Nothing more came for so long: nothing more comes. */
const STILL_MS = 1_000;
/** Between two portions of opens. */
const PORTION_PAUSE_MS = 10;
const STORM_MS = 2_000;
/** A peer may open streams again after a storm of them. */
const ALLOWANCE_MS = 1_500;
/** In which the CPU of a node is measured that nobody asks anything. */
const IDLE_MS = 2_000;
const MEMBERS = [
  'mal-keep',
  'mal-keeps',
  'mal-reset',
  'mal-piece',
  'mal-storm',
  'mal-many',
  'mal-tomb',
  'mal-read',
] as const;

let mesh: StaticMesh;
let echo: TcpBackend;
let flood: TcpBackend;
let sink: TcpBackend;
/** Connections that the sink was ever given. */
let dials = 0;
const peers: RawPeer[] = [];

beforeAll(async () => {
  echo = await openEcho();
  const zeros = Buffer.alloc(65_536);
  flood = await openBackend((socket) => {
    const write = (): void => {
      while (!socket.destroyed && socket.write(zeros));
    };
    socket.on('drain', write);
    socket.resume();
    write();
  });
  sink = await openBackend((socket) => {
    dials++;
    socket.pause();
  });
  mesh = await startStaticMesh(
    [
      { name: 'a', relay: false, links: ['r'], forwards: ['echo'] },
      { name: 'r', relay: true, links: ['a', 'b'] },
      { name: 'b', relay: false, links: ['r', ...MEMBERS] },
    ],
    [
      { name: 'echo', instances: targetAt(echo.port) },
      { name: 'flood', instances: targetAt(flood.port) },
      { name: 'sink', instances: targetAt(sink.port) },
      { name: 'dead', instances: targetAt(await freePort()) },
    ],
    MEMBERS.map((name) => ({ name, relay: false, links: ['b'] })),
  );
  await awaitPath(mesh, 'a', 'b');
  await echoOnce();
});

afterEach(async () => {
  for (const peer of peers.splice(0)) await peer.close();
});

afterAll(async () => {
  await mesh.stop();
  await Promise.all([echo.close(), flood.close(), sink.close()]);
});

async function join(name: (typeof MEMBERS)[number]): Promise<RawPeer> {
  const peer = await RawPeer.link(mesh.ca, name, 'b', mesh.linkPort('b'));
  peers.push(peer);
  return peer;
}

function newId(): string {
  return crypto.getRandomValues(new Uint8Array(16)).toHex();
}

/** Without a push to the transport: the caller pumps. */
function open(peer: RawPeer, service: string, id = newId()): MuxStream<undefined> | undefined {
  const body = encodeConduitOpen({ id, attempt: 1, incarnation: peer.incarnation, service });
  const opened = peer.mux.open(StreamKind.conduit, body, undefined, 'local');
  if (!opened.ok) return undefined;
  opened.value.lingers = true;
  return opened.value;
}

/** Milliseconds of one stream of an honest node: opened, asked, answered. */
async function echoOnce(): Promise<number> {
  const startMs = performance.now();
  expect(await echoThrough(mesh.port('a', 'echo'))).toBe('hello');
  return performance.now() - startMs;
}

async function residentMib(): Promise<number> {
  return (await mesh.status('b')).memory.rss / MIB;
}

async function counted(name: string): Promise<number> {
  return (await mesh.status('b')).counters[name] ?? 0;
}

function descriptors(): number {
  return readdirSync(`/proc/${present(mesh.processes.get('b')?.pid, 'a process')}/fd`).length;
}

test('a member that takes and never acknowledges makes its peer keep a bounded amount, and keeps nobody from it', async () => {
  const peer = await join('mal-keep');
  const before = await residentMib();
  let received = 0;
  peer.onEvent = (event) => {
    if (event.kind !== 'data') return;
    received += event.bytes.byteLength;
    peer.mux.consume(event.stream, event.bytes.byteLength, performance.now());
  };
  for (let i = 0; i < 12; i++) open(peer, 'flood');
  peer.pump();
  await until(
    async () => {
      const was = received;
      await pause(STILL_MS);
      return received > 0 && received === was;
    },
    (isOver) => isOver,
    40_000,
  );
  const grownMib = (await residentMib()) - before;
  console.log(`kept: ${(received / MIB).toFixed(0)} MiB sent, ${grownMib.toFixed(0)} MiB more resident`);
  expect(received).toBeLessThanOrEqual(130 * MIB);
  expect(grownMib).toBeLessThan(300);
  expect(await echoOnce()).toBeLessThan(2_000);
}, 60_000);

test('a member that does so on a thousand streams makes its peer keep little more for them', async () => {
  const peer = await join('mal-keeps');
  const before = await residentMib();
  let received = 0;
  let accepted = 0;
  peer.onEvent = (event) => {
    if (event.kind === 'accepted') accepted++;
    if (event.kind !== 'data') return;
    received += event.bytes.byteLength;
    peer.mux.consume(event.stream, event.bytes.byteLength, performance.now());
  };
  const STREAMS = 1_000;
  for (let i = 0; i < STREAMS; i++) {
    open(peer, 'flood');
    if (i % 50 === 0) {
      peer.pump();
      await pause(PORTION_PAUSE_MS);
    }
  }
  peer.pump();
  await until(
    async () => {
      const was = received;
      await pause(STILL_MS);
      return accepted === STREAMS && received === was;
    },
    (isOver) => isOver,
    40_000,
  );
  const grownMib = (await residentMib()) - before;
  console.log(`kept: ${(received / MIB).toFixed(0)} MiB sent on ${STREAMS}, ${grownMib.toFixed(0)} MiB more resident`);
  expect(received).toBeLessThanOrEqual(150 * MIB);
  expect(grownMib).toBeLessThan(450);
  expect(await echoOnce()).toBeLessThan(2_000);
}, 60_000);

test('a member that opens and takes back at once, thousands of times: no target is dialled, others are served', async () => {
  const peer = await join('mal-reset');
  const before = dials;
  const OPENS = 20_000;
  let begun = 0;
  let slowestMs = 0;
  while (begun < OPENS) {
    for (let i = 0; i < 500; i++) {
      const stream = open(peer, 'sink');
      if (stream === undefined) break;
      peer.mux.reset(stream, { code: 'STREAM_ABORTED' });
      begun++;
    }
    peer.pump();
    await pause(PORTION_PAUSE_MS);
    if (begun % 4_000 === 0) slowestMs = Math.max(slowestMs, await echoOnce());
  }
  console.log(`${begun} taken back: ${dials - before} dials, slowest echo of another ${slowestMs.toFixed(0)} ms`);
  expect(dials - before).toBeLessThan(OPENS / 100);
  expect(slowestMs).toBeLessThan(2_000);
}, 60_000);

test('a member that always leaves a byte of each piece unacknowledged makes its peer keep no more than that', async () => {
  const peer = await join('mal-piece');
  const before = await residentMib();
  const GOAL = 768 * MIB;
  let received = 0;
  const stream = present(open(peer, 'flood'), 'a stream');
  peer.onEvent = (event) => {
    if (event.kind !== 'data') return;
    received += event.bytes.byteLength;
    peer.mux.consume(event.stream, event.bytes.byteLength, performance.now());
    peer.mux.acknowledge(stream, { received: received - 1, fin: false, done: false });
  };
  peer.pump();
  await until(
    () => received,
    (bytes) => bytes >= GOAL,
    50_000,
  );
  const grownMib = (await residentMib()) - before;
  console.log(
    `acknowledged within pieces: ${(received / MIB).toFixed(0)} MiB, ${grownMib.toFixed(0)} MiB more resident`,
  );
  expect(grownMib).toBeLessThan(250);
}, 70_000);

test('a storm of attachments of one conduit: others are served, and the conduit goes on where the last one is', async () => {
  const peer = await join('mal-storm');
  const id = newId();
  let current = present(open(peer, 'echo', id), 'a stream');
  const answers: string[] = [];
  peer.onEvent = (event) => {
    if (event.kind !== 'data') return;
    answers.push(Buffer.from(event.bytes).toString());
    peer.mux.consume(event.stream, event.bytes.byteLength, performance.now());
  };
  peer.pump();
  await until(
    () => current.state,
    (state) => state === 'open',
    5_000,
  );
  let attempt = 1;
  const attach = (): void => {
    const body = encodeConduitAttach({ id, attempt: ++attempt, received: 0, fin: false });
    const opened = peer.mux.open(StreamKind.attach, body, undefined, 'local');
    if (!opened.ok) return;
    current = opened.value;
    current.lingers = true;
  };
  const storm = setInterval(() => {
    for (let i = 0; i < 100; i++) attach();
    peer.pump();
  }, PORTION_PAUSE_MS);
  let slowestMs = 0;
  try {
    for (let i = 0; i < 10; i++) slowestMs = Math.max(slowestMs, await echoOnce());
    await pause(STORM_MS);
  } finally {
    clearInterval(storm);
  }
  await pause(ALLOWANCE_MS);
  attach();
  peer.pump();
  await until(
    () => current.state,
    (state) => state === 'open',
    5_000,
  );
  peer.mux.send(current, Buffer.from('still here'), performance.now());
  peer.pump();
  await until(
    () => answers.join(''),
    (text) => text === 'still here',
    5_000,
  );
  console.log(`${attempt} attachments, slowest echo of another ${slowestMs.toFixed(0)} ms`);
  expect(slowestMs).toBeLessThan(2_000);
  expect(await counted('conduit-moved')).toBeGreaterThan(10_000);
}, 40_000);

test('a target that reads nothing while its caller attaches anew again and again: what is kept does not grow with the moves', async () => {
  const peer = await join('mal-read');
  const id = newId();
  const before = await residentMib();
  let current = present(open(peer, 'sink', id), 'a stream');
  const piece = Buffer.alloc(65_536);
  peer.pump();
  let sent = 0;
  let ack = 0;
  peer.onEvent = (event) => {
    if (event.kind === 'ack') ack = Math.max(ack, event.ack.received);
  };
  for (let attempt = 2; attempt < 102; attempt++) {
    await until(
      () => current.state,
      (state) => state !== 'opening',
      5_000,
    );
    const now = Math.min(piece.byteLength, current.sendCredit);
    if (now > 0) peer.mux.send(current, piece.subarray(0, now), performance.now());
    sent += now;
    peer.pump();
    const body = encodeConduitAttach({ id, attempt, received: 0, fin: false });
    const opened = peer.mux.open(StreamKind.attach, body, undefined, 'local');
    if (!opened.ok) throw new Error(opened.error);
    current = opened.value;
    current.lingers = true;
    peer.pump();
  }
  const grownMib = (await residentMib()) - before;
  console.log(`100 moves: ${(sent / MIB).toFixed(1)} MiB had credit, ${grownMib.toFixed(0)} MiB more resident`);
  expect(sent).toBeLessThan(24 * MIB);
  expect(grownMib).toBeLessThan(100);
}, 60_000);

test('a member that has opened as many as may be remembered opens nothing more, and keeps nobody else from it', async () => {
  const peer = await join('mal-tomb');
  const reasons = new Map<string, number>();
  peer.onEvent = (event) => {
    if (event.kind === 'refused') reasons.set(event.reason.code, (reasons.get(event.reason.code) ?? 0) + 1);
  };
  let begun = 0;
  let slowestMs = 0;
  const ended = (): number => [...reasons.values()].reduce((sum, count) => sum + count, 0);
  for (const startMs = performance.now(); !reasons.has('CONDUIT_CAP') && performance.now() - startMs < 40_000; ) {
    for (let i = 0; i < 500 && begun - ended() < 2_000; i++) if (open(peer, 'dead') !== undefined) begun++;
    peer.pump();
    await pause(PORTION_PAUSE_MS);
    if (begun % 4_000 < 500) slowestMs = Math.max(slowestMs, await echoOnce());
  }
  console.log(`${begun} opened: ${JSON.stringify([...reasons])}; slowest echo of another ${slowestMs.toFixed(0)} ms`);
  expect(reasons.has('CONDUIT_CAP')).toBe(true);
  expect(await echoOnce()).toBeLessThan(2_000);
}, 60_000);

test('a member that drops its tunnel with thousands of conduits again and again: targets and memory are bounded, others are served', async () => {
  const [fdsBefore, rssBefore] = [descriptors(), await residentMib()];
  const ROUNDS = 3;
  const EACH = 3_000;
  let slowestMs = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const peer = await join('mal-many');
    let accepted = 0;
    peer.onEvent = (event) => {
      if (event.kind === 'accepted') accepted++;
    };
    for (let i = 0; i < EACH; i += 250) {
      for (let k = 0; k < 250; k++) open(peer, 'sink');
      peer.pump();
      await pause(2 * PORTION_PAUSE_MS);
    }
    await until(
      () => accepted,
      (count) => count === EACH,
      20_000,
    );
    await peer.close();
    slowestMs = Math.max(slowestMs, await echoOnce());
  }
  const { streams, cpu } = await mesh.status('b');
  await pause(IDLE_MS);
  const after = await mesh.status('b');
  const cpuShare = (after.cpu.user + after.cpu.system - cpu.user - cpu.system) / 1000 / IDLE_MS;
  const grownMib = (await residentMib()) - rssBefore;
  const each = { fds: descriptors() - fdsBefore, conduits: streams.length, mib: Math.round(grownMib) };
  console.log(
    `detached: ${JSON.stringify(each)}, slowest echo ${slowestMs.toFixed(0)} ms, then ${(cpuShare * 100).toFixed(0)} % CPU`,
  );
  expect(streams.length).toBeGreaterThanOrEqual(ROUNDS * EACH);
  expect(descriptors() - fdsBefore).toBeLessThanOrEqual(ROUNDS * EACH + 50);
  expect(grownMib).toBeLessThan(500);
  expect(slowestMs).toBeLessThan(2_000);
  expect(cpuShare).toBeLessThan(0.5);
}, 90_000);
