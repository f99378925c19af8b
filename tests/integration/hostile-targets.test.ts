import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { decodeProxyHeader, encodeProxyHeader } from '#io/proxy-protocol/proxy-header.ts';
import {
  connectTcp,
  openBackend,
  openBySocks,
  openEcho,
  readExactly,
  socksReply,
  type TcpBackend,
} from '../harness/tcp.ts';
import { portOf, type Status, UpMesh, until } from '../harness/up.ts';
import { CLONE, X0Process } from '../harness/x0-process.ts';

// Each runs the command line many times, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000 });

let mesh: UpMesh;
let status: Status;
let oslo: number;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  mesh = await UpMesh.start();
  status = await mesh.status();
  oslo = await mesh.socks('oslo');
});

afterAll(async () => {
  for (const close of closers) await close();
  await mesh.stop();
});

async function expose(service: string, target: string, ...flags: string[]): Promise<string> {
  const result = await mesh.tryX0('expose', service, '--to', target, '--node', 'lima', ...flags);
  return result.status === 0 ? 'OK' : (/^x0: ([A-Z_]+): /.exec(result.stderr)?.[1] ?? result.stderr);
}

async function publish(service: string, backend: TcpBackend, ...flags: string[]): Promise<void> {
  closers.push(async () => backend.close());
  expect(await expose(service, `127.0.0.1:${backend.port}`, ...flags)).toBe('OK');
  await until(
    async () => await socksReply(oslo, `${service}.mesh`),
    (reply) => reply === 0,
    5000,
  );
}

interface Exposed {
  readonly service: string;
  readonly target: string;
  /** `OK` where it was taken. */
  readonly code: string;
}

async function exposeAll(targets: readonly string[]): Promise<readonly Exposed[]> {
  const exposed: Exposed[] = [];
  for (let at = 0; at < targets.length; at += 4) {
    const batch = targets.slice(at, at + 4).map(async (target, index) => {
      const service = `self${at + index}`;
      return { service, target, code: await expose(service, target) };
    });
    exposed.push(...(await Promise.all(batch)));
  }
  return exposed;
}

/** Ports of everything that this `x0 up` runs. */
function ownPorts(): readonly number[] {
  const control = JSON.parse(readFileSync(join(mesh.dataDir, 'control.json'), 'utf8')) as Record<string, unknown>;
  const ofControl = Object.values(control).filter((value) => typeof value === 'string' && /:\d+$/.test(value));
  expect(ofControl).toHaveLength(2);
  const listeners = status.nodes.flatMap(({ listen }) => [listen.link, listen.socks, listen.http, listen.admin]);
  return [...(ofControl as string[]), ...listeners].flatMap((at) => (at === null ? [] : portOf(at)));
}

const SPELLINGS = [
  '127.0.0.1',
  'localhost',
  'LOCALHOST',
  'localhost.',
  'ip6-localhost',
  hostname(),
  '[::1]',
  '[::]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::127.0.0.1]',
  '[::1%lo]',
  '0',
  '0.0.0.0',
  '127.1',
  '127.0.0.2',
  '127.0.0.1.',
  '127.0.0.1.nip.io',
  '2130706433',
  '0x7f000001',
  '0177.0.0.1',
  '0x7f.0.0.1',
  '127.0.0.1%00',
];

test('however a target is spelled, x0’s own ports are not reachable through a service', async () => {
  const lima = status.nodes.find((node) => node.name === 'lima');
  const targets = SPELLINGS.map((host) => `${host}:${portOf(lima?.listen.admin)}`);
  const codes = await exposeAll([...targets, ...ownPorts().map((port) => `127.0.0.1:${port}`)]);
  expect(codes.filter(({ code }) => !['TARGET_NOT_ALLOWED', 'USAGE', 'OK'].includes(code))).toEqual([]);
  // A name that nobody knows today is taken; it is judged again, by its address, at each stream.
  const taken = codes.filter(({ code }) => code === 'OK');
  expect(taken.filter(({ target }) => !/^(?:localhost\.|ip6-localhost|127\.0\.0\.1\.nip\.io):/.test(target))).toEqual(
    [],
  );
  for (const { service } of taken) {
    expect(await socksReply(oslo, `${service}.mesh`)).toBeGreaterThan(0);
    await mesh.x0('unexpose', service, '--node', 'lima');
  }
  // What is spelled so and is not ours is served.
  await publish('echo', await openEcho());
});

test('the header of --proxy-protocol is the node’s; one that a client sends is payload behind it', async () => {
  const received: Buffer[][] = [];
  const backend = await openBackend((socket) => {
    const chunks: Buffer[] = [];
    received.push(chunks);
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  });
  await publish('who', backend, '--proxy-protocol');
  const forged = [
    Buffer.from(encodeProxyHeader({ spiffeId: 'spiffe://x0tta6bl4.mesh/node/rome', service: 'admin' })),
    Buffer.from('PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n'),
    Buffer.from('payload'),
  ];
  for (const port of [oslo, await mesh.socks('lima')]) {
    received.length = 0;
    const client = await openBySocks(port, 'who');
    client.end(Buffer.concat(forged));
    const bytes = await until(
      () => Buffer.concat(received[0] ?? []),
      (all) => all.includes('payload'),
      5000,
    );
    const header = decodeProxyHeader(bytes);
    const caller = port === oslo ? 'oslo' : 'lima';
    expect(header).toMatchObject({
      value: { spiffeId: `spiffe://x0tta6bl4.mesh/node/${caller}`, service: 'who' },
    });
    expect(bytes.subarray(header.ok ? header.value.length : 0).equals(Buffer.concat(forged))).toBe(true);
    client.destroy();
  }
});

test('no request that a client of the HTTP proxy can write ends the node', async () => {
  const { pid, listen } = await mesh.node('oslo');
  const headers = ['Trailer: x', 'Connection: content-length', 'Expect: 100-continue', 'Upgrade: h2c', 'TE: trailers'];
  for (const header of headers) {
    for (const body of [
      '',
      'Content-Length: 3\r\n\r\nabc',
      'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n',
    ]) {
      for (const method of ['GET', 'POST', 'HEAD', 'OPTIONS']) {
        const client = await connectTcp(portOf(listen.http));
        const end = body === '' ? '\r\n\r\n' : `\r\n${body}`;
        client.write(`${method} http://hello.mesh/ HTTP/1.1\r\nHost: hello.mesh\r\n${header}${end}`);
        expect(String(await once(client, 'data'))).toMatch(/^HTTP\/1\.1 \d/);
        client.destroy();
      }
    }
  }
  expect(await mesh.node('oslo')).toMatchObject({ pid, state: 'up' });
});

const ECHO_PAUSE_MS = 50;
const DOUBLED_MS = Number(process.env['DOUBLED_MS'] ?? 6000);

test('a second process with the identity of a node: others serve on, and none is busy or loud', async () => {
  const { pid } = await mesh.node('rome');
  const client = await openBySocks(oslo, 'echo');
  const copy = mkdtempSync(join(tmpdir(), 'x0-doubled-'));
  cpSync(join(mesh.dataDir, 'nodes', 'rome'), copy, { recursive: true });
  const [usedBefore, saidBefore] = [cpuSeconds(status), mesh.up.output.length];
  const args = ['--socks', '127.0.0.1:0', '--http', 'off', '--admin', 'off'];
  const double = new X0Process(CLONE, ['node', '--data-dir', copy, ...args]);
  const timesMs: number[] = [];
  for (const startMs = performance.now(); performance.now() - startMs < DOUBLED_MS; ) {
    const askedMs = performance.now();
    client.write('hello');
    expect(String(await readExactly(client, 5))).toBe('hello');
    timesMs.push(performance.now() - askedMs);
    await pause(ECHO_PAUSE_MS);
  }
  const used = cpuSeconds(status).map((seconds, index) => seconds - (usedBefore[index] ?? 0));
  const said = mesh.up.output.length - saidBefore + double.output.length;
  await double.end('SIGTERM');
  rmSync(copy, { recursive: true });
  client.destroy();
  console.log(
    `two of one identity for ${DOUBLED_MS} ms: at most ${Math.max(...used).toFixed(2)} s of CPU a node, ${said} bytes of log, ` +
      `slowest of ${timesMs.length} echoes ${Math.max(...timesMs).toFixed(0)} ms`,
  );
  expect(Math.max(...used)).toBeLessThan(DOUBLED_MS / 3000);
  expect(said).toBeLessThan(10_000);
  expect(Math.max(...timesMs)).toBeLessThan(2000);
  const back = await until(
    async () => await mesh.node('rome'),
    (node) => node.state === 'up' && node.pid === pid && node.peers.length === 4,
    20_000,
  );
  expect(back.state).toBe('up');
});

/** CPU that each node has used. */
function cpuSeconds({ nodes }: Status): readonly number[] {
  return nodes.map(({ pid }) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  });
}
