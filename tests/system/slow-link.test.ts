import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Network } from '../harness/namespaces.ts';
import { endProgram, runProgram, startProgram } from '../harness/program.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';
import { portOf, UpMesh, until } from '../harness/up.ts';
import { CLONE, X0Process } from '../harness/x0-process.ts';

const HOST = '10.78.1.1';
/** The queue of a home router: 400 ms, for whoever fills it. */
const SHAPER = ['root', 'tbf', 'rate', '20mbit', 'burst', '32kbit', 'latency', '400ms'];
const BULK_BYTES = 12_500_000;

/** base ──20 Mbit/s── cottage, which publishes an echo and a source and dials out only. */
describe.skipIf(SYSTEM_MISSING !== undefined)('a link of 20 Mbit/s that is full', () => {
  let folder: string;
  let network: Network;
  let mesh: UpMesh;
  let cottage: X0Process;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'x0-slow-'));
    network = new Network();
    for (const host of ['base', 'cottage']) network.addHost(host);
    const [left, right] = network.connect(
      { host: 'base', address: `${HOST}/24` },
      { host: 'cottage', address: '10.78.1.2/24' },
    );
    network.run('base', 'tc', 'qdisc', 'add', 'dev', left, ...SHAPER);
    network.run('cottage', 'tc', 'qdisc', 'add', 'dev', right, ...SHAPER);
    mesh = await UpMesh.start({ command: network.x0('base', CLONE), args: ['--host', HOST] });
    const token = (await mesh.x0('token', 'create', '--node', 'cottage')).trim();
    cottage = new X0Process(network.x0('cottage', CLONE), [
      'node',
      '--data-dir',
      join(folder, 'cottage'),
      '--join',
      token,
    ]);
    await cottage.says(/node is up/);
  });

  afterAll(async () => {
    network.remove();
    await Promise.all([cottage, mesh.up].map(async (program) => program.end('SIGTERM')));
    await mesh.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each(['up', 'down'])(
    '64 bytes echo beside a bulk transfer %s',
    async (direction) => {
      const backend = await startProgram(
        network.on('cottage', process.execPath, '-e', BACKENDS, String(BULK_BYTES)),
        /serving (\d+) (\d+)/,
      );
      try {
        const ports = { echo: 9001, bulk: 9002 };
        for (const [service, port] of Object.entries(ports)) {
          await mesh.x0('expose', service, '--to', `127.0.0.1:${port}`, '--node', 'cottage');
        }
        await until(
          async () => (await mesh.node('cottage')).services,
          (services) => services.length === 2,
          10_000,
        );
        const socks = portOf((await mesh.node('oslo')).listen.socks);
        const { stdout, stderr } = await runProgram(
          network.on('base', process.execPath, '-e', CLIENT, String(socks), direction, String(BULK_BYTES)),
        );
        expect(stderr).toBe('');
        const figures = JSON.parse(stdout) as { idle: number[]; busy: number[]; bulkSeconds: number };
        const [idle, busy] = [figures.idle.toSorted(compare), figures.busy.toSorted(compare)];
        console.log(
          `bulk ${direction}: ${((BULK_BYTES * 8) / figures.bulkSeconds / 1e6).toFixed(1)} Mbit/s; 64-byte echo idle p50 ${at(idle, 0.5)} ms; beside bulk p50 ${at(busy, 0.5)} ms, p95 ${at(busy, 0.95)} ms, max ${at(busy, 1)} ms of ${busy.length}`,
        );
        expect(busy.length).toBeGreaterThan(10);
        expect((BULK_BYTES * 8) / figures.bulkSeconds).toBeGreaterThan(12e6);
        // The figure that is aimed at, 150 ms, is the bench's to hold; here the stream must not wait for the queue.
        expect(at(busy, 0.5)).toBeLessThan(400);
      } finally {
        await endProgram(backend);
      }
    },
    60_000,
  );
});

function compare(left: number, right: number): number {
  return left - right;
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

const BACKENDS = `const net = require('node:net');
net.createServer((socket) => socket.setNoDelay().pipe(socket)).listen(9001, '127.0.0.1');
net.createServer({ allowHalfOpen: true }, (socket) => {
  let length = 0;
  socket.once('data', (first) => {
    if (first[0] === 0x64) return socket.end(Buffer.alloc(Number(process.argv[1])));
    length = first.length;
    socket.on('data', (chunk) => { length += chunk.length; });
    socket.on('end', () => socket.end(String(length)));
  });
}).listen(9002, '127.0.0.1', () => console.log('serving 9001 9002'));`;

const CLIENT = `const net = require('node:net');
const { once } = require('node:events');
const [socks, direction, length] = process.argv.slice(1);
// The bulk has filled the way by then.
const FILL_MS = 1000;
const ECHO_PAUSE_MS = 20;
async function open(service) {
  const socket = net.connect({ port: Number(socks), host: '127.0.0.1', allowHalfOpen: true }).setNoDelay();
  const name = Buffer.from(service + '.mesh');
  socket.write(Buffer.concat([Buffer.from([5, 1, 0, 5, 1, 0, 3, name.length]), name, Buffer.from([0, 80])]));
  let greeting = Buffer.alloc(0);
  while (greeting.length < 12) greeting = Buffer.concat([greeting, (await once(socket, 'data'))[0]]);
  if (greeting[3] !== 0) throw new Error('SOCKS5 reply ' + greeting[3]);
  return socket;
}
async function echo(socket) {
  const startedMs = performance.now();
  socket.write(Buffer.alloc(64));
  for (let got = 0; got < 64; ) got += (await once(socket, 'data'))[0].length;
  return Math.round((performance.now() - startedMs) * 10) / 10;
}
async function pause(ms) { await new Promise((resolve) => setTimeout(resolve, ms)); }
async function main() {
  const small = await open('echo');
  const idle = [];
  for (let round = 0; round < 20; round++) idle.push(await echo(small));
  const bulk = await open('bulk');
  const startedMs = performance.now();
  let isDone = false;
  const done = once(bulk, 'end').then(() => { isDone = true; return (performance.now() - startedMs) / 1000; });
  bulk.resume();
  if (direction === 'up') bulk.end(Buffer.alloc(Number(length), 0x75)); else bulk.end('d');
  await pause(FILL_MS);
  const busy = [];
  while (!isDone) { busy.push(await echo(small)); await pause(ECHO_PAUSE_MS); }
  console.log(JSON.stringify({ idle, busy, bulkSeconds: await done }));
  process.exit();
}
main().catch((error) => { console.error(error); process.exit(1); });`;
