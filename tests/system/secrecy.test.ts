import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../harness/static-mesh.ts';
import { Network } from '../harness/namespaces.ts';
import { countIn, searchMemory } from '../harness/process-memory.ts';
import { endProgram, runProgram, startProgram } from '../harness/program.ts';
import { POSTGRES_BIN, SYSTEM_MISSING } from '../harness/system.ts';
import { portOf, UpMesh, until } from '../harness/up.ts';
import { CLONE } from '../harness/x0-process.ts';

const HOST = 'solo';
const PAYLOAD_BYTES = 33_554_432;
/** Every kilobyte once, so that any buffer that held payload holds a canary. */
const CANARY_EVERY_BYTES = 1024;

describe.skipIf(SYSTEM_MISSING !== undefined)('what relays and the wire learn', () => {
  let folder: string;
  let network: Network;
  let mesh: UpMesh;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'x0-secrecy-'));
    chmodSync(folder, 0o755);
    network = new Network();
    network.addHost(HOST);
    mesh = await UpMesh.start({ command: network.x0(HOST, CLONE) });
  });

  afterAll(async () => {
    await mesh.up.end('SIGTERM');
    network.remove();
    await mesh.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function on(...program: readonly string[]): ReturnType<typeof runProgram> {
    return await runProgram(network.on(HOST, ...program));
  }

  async function capture(name: string, filter: string): Promise<{ stop(): Promise<Buffer> }> {
    const path = join(folder, name);
    // Packets that it dropped would be a capture of less than all: the buffer holds the whole payload, and dropped ones are counted.
    const command = ['tcpdump', '-U', '-B', '262144', '-s', '0', '-i', 'lo', '-w', path, filter];
    const tcpdump = await startProgram(network.on(HOST, ...command), /listening on/);
    let said = '';
    tcpdump.stderr?.on('data', (text: string) => {
      said += text;
    });
    return {
      stop: async () => {
        await endProgram(tcpdump, 'SIGINT');
        expect(said).toMatch(/\n0 packets dropped by kernel/);
        return readFileSync(path);
      },
    };
  }

  test('a canary of the payload is on neither any link nor in the memory of any relay, but is where it was sent', async () => {
    const canary = randomBytes(24);
    const { nodes } = await mesh.status();
    const links = nodes.map((node) => portOf(node.listen.link));
    const oslo = nodes.find((node) => node.name === 'oslo');
    const socks = portOf(oslo?.listen.socks);
    const sink = await startProgram(
      network.on(HOST, process.execPath, '-e', SINK, String(await freePort())),
      /serving \d+/,
    );
    const port = sink.spawnargs.at(-1) ?? '';
    await mesh.x0('expose', 'sink', '--to', `127.0.0.1:${port}`, '--node', 'lima');
    await until(
      async () => (await mesh.node('lima')).services,
      (services) => services.includes('sink'),
      5000,
    );

    const onLinks = await capture('links.pcap', links.map((link) => `tcp port ${link}`).join(' or '));
    const onLocalLeg = await capture('local.pcap', `tcp port ${socks}`);
    // The sender is not this process, whose memory holds the canary anyway.
    const sender = await startProgram(
      network.on(
        HOST,
        process.execPath,
        '-e',
        SENDER,
        String(socks),
        canary.toString('hex'),
        String(PAYLOAD_BYTES),
        String(CANARY_EVERY_BYTES),
      ),
      /received 33554432/,
    );

    const memories = new Map(nodes.map((node) => [node.name, searchMemory(node.pid, canary)]));
    const [wire, localLeg] = [await onLinks.stop(), await onLocalLeg.stop()];
    await Promise.all([endProgram(sender), endProgram(sink)]);
    const report = [...memories].map(
      ([name, { hits, searchedBytes }]) => `${name} ${hits} in ${Math.round(searchedBytes / 1e6)} MB`,
    );
    console.log(
      `canaries: links ${countIn(wire, canary)} in ${Math.round(wire.byteLength / 1e6)} MB, local leg ${countIn(localLeg, canary)}; memory: ${report.join(', ')}`,
    );

    expect(countIn(wire, canary)).toBe(0);
    // Three links, each way of them at least once: the capture did see the payload pass.
    expect(wire.byteLength).toBeGreaterThan(3 * PAYLOAD_BYTES);
    expect(countIn(localLeg, canary)).toBeGreaterThan((PAYLOAD_BYTES / CANARY_EVERY_BYTES) * 0.9);
    for (const relay of ['rome', 'delhi', 'cairo', 'kyoto']) {
      expect([relay, memories.get(relay)?.hits]).toEqual([relay, 0]);
      expect(memories.get(relay)?.searchedBytes).toBeGreaterThan(30_000_000);
    }
    expect(memories.get('oslo')?.hits).toBeGreaterThan(0);
    expect(memories.get('lima')?.hits).toBeGreaterThan(0);
  }, 120_000);

  test.each([
    ['X25519 alone', ['-tls1_3', '-groups', 'X25519']],
    ['P-256 alone', ['-tls1_3', '-groups', 'P-256']],
    ['TLS 1.2', ['-tls1_2']],
  ])('a peer that offers %s gets an alert and no link', async (_what, options) => {
    const before = await mesh.node('rome');
    const address = before.listen.link ?? '';
    const { status, stdout, stderr } = await on('openssl', 's_client', '-connect', address, ...options);
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/alert (handshake failure|protocol version)|unsupported protocol/);
    expect(stdout).toContain('no peer certificate available');
    const after = await until(
      async () => await mesh.node('rome'),
      (node) => refusals(node.counters) > refusals(before.counters),
      5000,
    );
    expect(after.peers.map((peer) => peer.name)).toEqual(before.peers.map((peer) => peer.name));
  });

  test('a peer with the right key exchange and a classical certificate gets no link', async () => {
    const [key, certificate] = [join(folder, 'ec.key'), join(folder, 'ec.crt')];
    const subject = ['-subj', '/CN=rome', '-addext', 'subjectAltName=URI:spiffe://x0tta6bl4.mesh/node/delhi'];
    const made = await on(
      'openssl',
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      key,
      '-out',
      certificate,
      ...subject,
    );
    expect(made.status).toBe(0);
    const before = await mesh.node('rome');
    const { stdout } = await on(
      process.execPath,
      '-e',
      CLASSICAL_PEER,
      key,
      certificate,
      String(portOf(before.listen.link)),
    );
    expect(stdout).toMatch(/^refused /);
    const after = await until(
      async () => await mesh.node('rome'),
      (node) => refusals(node.counters) > refusals(before.counters),
      5000,
    );
    expect(after.peers.map((peer) => peer.name)).toEqual(before.peers.map((peer) => peer.name));
  });

  test('psql works through x0 forward: schema, bulk copy, transaction, long rows and cancel', async () => {
    const [postgresPort, forwardPort] = [await freePort(), await freePort()];
    const data = join(folder, 'pg');
    const asPostgres = ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'];
    expect((await on('install', '-d', '-o', 'postgres', '-m', '0700', data)).status).toBe(0);
    const made = await on(
      ...asPostgres,
      `${POSTGRES_BIN}/initdb`,
      '-D',
      data,
      '-A',
      'trust',
      '-U',
      'postgres',
      '-E',
      'UTF8',
      '--locale=C',
      '--no-sync',
    );
    expect(made.stderr).toBe('');
    const server = await startProgram(
      network.on(
        HOST,
        ...asPostgres,
        `${POSTGRES_BIN}/postgres`,
        '-D',
        data,
        '-h',
        '127.0.0.1',
        '-p',
        String(postgresPort),
        '-k',
        data,
      ),
      /ready to accept connections/,
    );
    try {
      await mesh.x0('expose', 'db', '--to', `127.0.0.1:${postgresPort}`, '--node', 'lima');
      await mesh.x0('forward', 'db', '--listen', `127.0.0.1:${forwardPort}`, '--node', 'oslo');
      const psql = [
        'psql',
        '-X',
        '-q',
        '-A',
        '-t',
        '-v',
        'ON_ERROR_STOP=1',
        `postgresql://postgres@127.0.0.1:${forwardPort}/postgres`,
      ];
      await until(
        async () => await on(...psql, '-c', 'select 1'),
        ({ status }) => status === 0,
        10_000,
      );
      const rows = Array.from({ length: 100_000 }, (_, index) => `${index}\tname ${index}`).join('\n');
      const session = `create table people (id int primary key, name text);\ncopy people from stdin;\n${rows}\n\\.\n
        begin; delete from people where id < 10; rollback;
        select count(*), sum(id) from people; select repeat('x', 8000000);`;
      const { status, stdout, stderr } = await runProgram(network.on(HOST, ...psql), session);
      expect([status, stderr]).toEqual([0, '']);
      const [sums = '', long = ''] = stdout.split('\n');
      expect(sums).toBe('100000|4999950000');
      expect(long).toHaveLength(8_000_000);
      const cancelled = await on('timeout', '-s', 'INT', '1', ...psql, '-c', 'select pg_sleep(30)');
      expect(cancelled.stderr).toContain('canceling statement due to user request');
      expect((await mesh.streams()).filter((row) => row.service === 'db')).toEqual([]);
    } finally {
      await endProgram(server, 'SIGINT');
    }
  }, 120_000);
});

function refusals(counters: Readonly<Record<string, number>>): number {
  return Object.entries(counters).reduce(
    (sum, [name, count]) => (/TLS|HANDSHAKE|CERT/.test(name) ? sum + count : sum),
    0,
  );
}

const SINK = `const server = require('node:net').createServer({ allowHalfOpen: true }, (socket) => {
  let length = 0;
  socket.on('data', (chunk) => { length += chunk.length; });
  socket.on('end', () => socket.write('received ' + length));
});
server.listen(Number(process.argv[1]), '127.0.0.1', () => console.log('serving', process.argv[1]));`;

const SENDER = `const [socks, canary, length, every] = process.argv.slice(1);
const socket = require('node:net').connect({ port: Number(socks), host: '127.0.0.1', allowHalfOpen: true });
const name = Buffer.from('sink.mesh');
socket.write(Buffer.concat([Buffer.from([5, 1, 0, 5, 1, 0, 3, name.length]), name, Buffer.from([0, 80])]));
let isOpen = false;
socket.on('data', (chunk) => {
  if (isOpen) return console.log(chunk.toString());
  if (chunk.length < 10) return;
  isOpen = true;
  const payload = Buffer.alloc(Number(length), 0x2e);
  for (let at = 0; at < payload.length; at += Number(every)) payload.write(canary, at, 'hex');
  socket.end(payload);
});`;

const CLASSICAL_PEER = `const { readFileSync } = require('node:fs');
const [key, cert, port] = process.argv.slice(1);
const socket = require('node:tls').connect({ host: '127.0.0.1', port: Number(port), key: readFileSync(key), cert: readFileSync(cert),
  rejectUnauthorized: false, ecdhCurve: 'X25519MLKEM768' });
let why = 'closed';
socket.on('error', (error) => { why = error.code; });
socket.on('data', () => { why = ''; });
socket.on('close', () => console.log(why === '' ? 'accepted' : 'refused ' + why));
socket.on('secureConnect', () => socket.write(Buffer.alloc(64)));
setTimeout(() => { console.log('still open'); process.exit(); }, 15000).unref();`;
