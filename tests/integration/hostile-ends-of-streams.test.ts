import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { awaitPath, startStaticMesh, type StaticMesh, targetAt } from '../harness/static-mesh.ts';
import {
  connectTcp,
  echoThrough,
  openBackend,
  openEcho,
  readExactly,
  seededBytes,
  type TcpBackend,
} from '../harness/tcp.ts';
import { until } from '../harness/up.ts';

const MIB = 1_048_576;
/** A stream whose relay was killed so long ago is on its way to another. */
const MOVING_MS = 50;
const SLEEP_MS = 20_000;
/** What earlier faults leave behind has gone by then. */
const QUIET_MS = 2_000;
const FLOOD_MS = 10_000;

let mesh: StaticMesh;
let echo: TcpBackend;
let endless: TcpBackend;
let mute: TcpBackend;
/** What the endless service repeats. */
const pattern = seededBytes('endless', MIB);

beforeAll(async () => {
  echo = await openEcho();
  endless = await openBackend((socket) => {
    const write = (): void => {
      while (!socket.destroyed && socket.write(pattern));
    };
    socket.on('drain', write);
    socket.resume();
    write();
  });
  mute = await openBackend((socket) => socket.resume());
  mesh = await startStaticMesh(
    [
      { name: 'a', relay: false, links: ['r1', 'r2'], forwards: ['echo', 'endless', 'mute'] },
      { name: 'r1', relay: true, links: ['a', 'b', 'r2'] },
      { name: 'r2', relay: true, links: ['a', 'b', 'r1'] },
      { name: 'b', relay: false, links: ['r1', 'r2'] },
    ],
    [
      { name: 'echo', instances: targetAt(echo.port) },
      { name: 'endless', instances: targetAt(endless.port) },
      { name: 'mute', instances: targetAt(mute.port) },
    ],
  );
  await awaitPath(mesh, 'a', 'b');
});

afterAll(async () => {
  await mesh.stop();
  await Promise.all([echo.close(), endless.close(), mute.close()]);
});

/** Reads the endless service and checks each byte. */
class Download {
  bytes = 0;
  isRight = true;
  end: 'running' | 'finished' | 'broken' = 'running';
  readonly socket: Awaited<ReturnType<typeof connectTcp>>;

  constructor(socket: Awaited<ReturnType<typeof connectTcp>>) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#check(chunk));
    socket.on('end', () => (this.end = 'finished'));
    socket.on('close', () => {
      if (this.end === 'running') this.end = 'broken';
    });
  }

  static async start(): Promise<Download> {
    return new Download(await connectTcp(mesh.port('a', 'endless')));
  }

  async grows(bytes: number): Promise<void> {
    const goal = this.bytes + bytes;
    await until(
      () => this.bytes >= goal || this.end !== 'running',
      (isOver) => isOver,
      20_000,
    );
  }

  #check(chunk: Buffer): void {
    for (let at = 0; at < chunk.byteLength; ) {
      const start = (this.bytes + at) % MIB;
      const length = Math.min(chunk.byteLength - at, MIB - start);
      this.isRight &&= chunk.subarray(at, at + length).equals(pattern.subarray(start, start + length));
      at += length;
    }
    this.bytes += chunk.byteLength;
  }
}

function signal(name: string, kind: NodeJS.Signals): void {
  mesh.processes.get(name)?.kill(kind);
}

async function healed(): Promise<void> {
  await until(
    async () => {
      const { paths } = await mesh.status('a');
      return paths['b']?.protected === true && (await echoThrough(mesh.port('a', 'echo')).catch(String)) === 'hello';
    },
    (isWell) => isWell,
    30_000,
  );
}

test('a destination that dies before its first byte, or while the stream moves: the client sees it break, not end', async () => {
  const silent = await connectTcp(mesh.port('a', 'mute'));
  let ended = false;
  silent.on('end', () => (ended = true));
  silent.resume();
  silent.write('x');
  await until(
    () => mute.sockets.size,
    (count) => count > 0,
    5_000,
  );
  const download = await Download.start();
  await download.grows(4 * MIB);
  const relay = (await mesh.status('a')).streams.find(({ hops }) => hops.length > 0)?.hops[0] ?? 'r1';
  signal(relay, 'SIGKILL');
  await pause(MOVING_MS);
  await mesh.restart('b');
  await until(
    () => [silent.destroyed, download.end],
    ([isClosed, end]) => isClosed === true && end !== 'running',
    75_000,
  );
  console.log(
    `after ${(download.bytes / MIB).toFixed(0)} MiB: ${download.end}; ${JSON.stringify((await mesh.status('a')).ended)}`,
  );
  expect([download.end, download.isRight, ended]).toEqual(['broken', true, false]);
  await mesh.restart(relay);
  await healed();
}, 120_000);

test('the whole machine sleeps for 20 s: every stream goes on, and nobody is accused for long', async () => {
  const download = await Download.start();
  const chat = await connectTcp(mesh.port('a', 'echo'));
  chat.write('hello');
  await readExactly(chat, 5);
  await download.grows(4 * MIB);
  const names = [...mesh.processes.keys()];
  for (const name of names) signal(name, 'SIGSTOP');
  await pause(SLEEP_MS);
  for (const name of names) signal(name, 'SIGCONT');
  const startMs = performance.now();
  await download.grows(8 * MIB);
  const resumedMs = performance.now() - startMs;
  chat.write('again');
  expect((await readExactly(chat, 5)).toString()).toBe('again');
  await healed();
  const { streams } = await mesh.status('a');
  console.log(
    `8 MiB more after ${resumedMs.toFixed(0)} ms, all well after ${(performance.now() - startMs).toFixed(0)} ms, moves ${JSON.stringify(streams.map(({ moveCount }) => moveCount))}`,
  );
  expect([download.end, download.isRight, chat.destroyed]).toEqual(['running', true, false]);
  expect(resumedMs).toBeLessThan(10_000);
  download.socket.destroy();
  chat.destroy();
}, 90_000);

const FLOOD = `
const { createSocket } = require('node:dgram');
const socket = createSocket('udp4');
const [port, perSecond] = process.argv.slice(1).map(Number);
const bytes = Buffer.alloc(64);
bytes[0] = 1;
let sent = 0, answers = 0;
socket.on('message', () => answers++);
const startMs = performance.now();
setInterval(() => {
  const due = Math.min((performance.now() - startMs) * perSecond / 1000, sent + 5000);
  for (; sent < due; sent++) { bytes.writeUInt32BE(sent, 12); socket.send(bytes, port, '127.0.0.1'); }
}, 2);
process.on('SIGTERM', () => { console.log(sent + ' ' + answers); process.exit(0); });
`;

async function stopFlood(child: ChildProcess): Promise<readonly number[]> {
  const chunks: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.kill('SIGTERM');
  await once(child, 'close');
  return Buffer.concat(chunks).toString().trim().split(' ').map(Number);
}

test.each([50_000])(
  '%i datagrams of garbage a second at a relay: its links stay up, and nothing is answered',
  async (rate) => {
    await healed();
    await pause(QUIET_MS);
    const before = await mesh.status('r1');
    const flood = spawn(process.execPath, ['-e', FLOOD, String(mesh.linkPort('r1')), String(rate)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const startMs = performance.now();
    await pause(FLOOD_MS);
    const durationMs = performance.now() - startMs;
    const [sent = 0, answers = 0] = await stopFlood(flood);
    const after = await mesh.status('r1');
    const cpuShare = (after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system) / 1000 / durationMs;
    const changed = Object.entries(after.counters).filter(
      ([name, count]) => /down|ended|late|hung|refused/.test(name) && count !== (before.counters[name] ?? 0),
    );
    console.log(
      `${(sent / durationMs).toFixed(0)} a ms, ${(cpuShare * 100).toFixed(0)} % CPU, ${JSON.stringify(changed)}`,
    );
    expect(answers).toBe(0);
    expect((after.counters['link-down'] ?? 0) - (before.counters['link-down'] ?? 0)).toBe(0);
    expect(await echoThrough(mesh.port('a', 'echo'))).toBe('hello');
  },
  60_000,
);
