import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { openBySocks, openEcho, readExactly, socksReply, type TcpBackend } from '../harness/tcp.ts';
import { portOf, type StatusNode, type StreamRow, UpMesh, until } from '../harness/up.ts';
import { CLONE, findProcesses, X0Process } from '../harness/x0-process.ts';

// Each of these waits for several programs to start and link.
vi.setConfig({ testTimeout: 60_000 });

const NAMES = ['cairo', 'delhi', 'kyoto', 'lima', 'oslo', 'rome'];

let mesh: UpMesh;
let echo: TcpBackend;
let oslo: number;
/** Programs that were started again by hand, by name. */
const again = new Map<string, X0Process>();
const sockets: Socket[] = [];

beforeAll(async () => {
  mesh = await UpMesh.start();
  oslo = await mesh.socks('oslo');
  echo = await openEcho();
  await mesh.x0('expose', 'echo', '--to', `127.0.0.1:${echo.port}`, '--node', 'lima');
  await until(
    async () => await socksReply(oslo, 'echo.mesh'),
    (reply) => reply === 0,
    5000,
  );
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

afterAll(async () => {
  for (const program of again.values()) await program.end('SIGTERM');
  await echo.close();
  await mesh.stop();
});

async function open(): Promise<Socket> {
  const socket = await openBySocks(oslo, 'echo');
  sockets.push(socket);
  return socket;
}

async function roundTrip(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  return (await readExactly(socket, Buffer.byteLength(text))).toString();
}

/** Runs the line that `x0 up` printed for a program that ended. */
async function startAgain(name: string): Promise<X0Process> {
  const [, line = ''] = await mesh.up.says(
    new RegExp(`CHILD_ENDED: ${name} ended \\(SIGKILL\\); start it again in another terminal: \\S+ (.*)`),
  );
  const program = new X0Process(CLONE, line.split(' '));
  again.set(name, program);
  return program;
}

async function killAndStartAgain(name: string): Promise<void> {
  const { pid } = await mesh.node(name);
  process.kill(pid, 'SIGKILL');
  await startAgain(name);
  await until(
    async () => await mesh.node(name),
    (node) => node.state === 'up' && node.pid !== pid,
    15_000,
  );
}

/** Pairs of which only one side shows the other, or that show a node that is down. */
function lonelyLinks(nodes: readonly StatusNode[]): readonly string[] {
  const up = new Map(nodes.filter((node) => node.state === 'up').map((node) => [node.name, node]));
  return nodes.flatMap((node) =>
    node.peers
      .filter((peer) => peer.state !== 'up' || !up.get(peer.name)?.peers.some((back) => back.name === node.name))
      .map((peer) => `${node.name} shows ${peer.name}`),
  );
}

test('a killed node is down in status within 3 s, its neighbours show it no more, and the printed line brings it back', async () => {
  const { pid } = await mesh.node('rome');
  process.kill(pid, 'SIGKILL');
  const killedMs = performance.now();
  await until(
    async () => (await mesh.node('rome')).state,
    (state) => state === 'down',
    3000,
  );
  const { nodes } = await until(
    async () => await mesh.status(),
    (status) => lonelyLinks(status.nodes).length === 0,
    3000,
  );
  console.log(`killed node down and gone from all peers after ${(performance.now() - killedMs).toFixed(0)} ms`);
  expect(nodes.filter((node) => node.peers.some((peer) => peer.name === 'rome'))).toEqual([]);
  expect(nodes.find((node) => node.name === 'rome')).toMatchObject({ state: 'down', peers: [] });
  await startAgain('rome');
  const back = await until(
    async () => await mesh.status(),
    (status) =>
      status.nodes.find((node) => node.name === 'rome')?.peers.length === 4 && lonelyLinks(status.nodes).length === 0,
    15_000,
  );
  expect(back.nodes.map((node) => [node.name, node.state])).toEqual(NAMES.map((name) => [name, 'up']));
  expect((await mesh.node('rome')).pid).not.toBe(pid);
});

test('when a relay on its path dies a stream goes on over another path, and says so', async () => {
  const client = await open();
  expect(await roundTrip(client, 'before')).toBe('before');
  const { path } = await clientRow();
  const relay = path[1] ?? '';
  process.kill((await mesh.node(relay)).pid, 'SIGKILL');
  const killedMs = performance.now();
  expect(await roundTrip(client, 'after')).toBe('after');
  console.log(`an echo ${(performance.now() - killedMs).toFixed(0)} ms after the death of a relay`);
  const after = await clientRow();
  expect(after.path).not.toContain(relay);
  expect(after).toMatchObject({ state: 'open', moveCount: 1 });
  expect(after.moves).toEqual([expect.objectContaining({ from: path, to: after.path })]);
  await startAgain(relay);
  await until(
    async () => await mesh.peersOf(relay),
    (peers) => peers.length === 4,
    15_000,
  );
});

/** What oslo says of its one stream to the echo. */
async function clientRow(): Promise<StreamRow> {
  const rows = (await mesh.streams()).filter((each) => each.service === 'echo' && each.node === 'oslo');
  expect(rows).toHaveLength(1);
  const [row] = rows;
  if (row === undefined) throw new Error('no stream');
  return row;
}

test('a frozen relay is given up, new streams go around it, and it links again when it wakes', async () => {
  const { path } = (await mesh.json('ping', 'lima', '--from', 'oslo')) as { path: string[] };
  const relay = path[1] ?? '';
  const { pid } = await mesh.node(relay);
  process.kill(pid, 'SIGSTOP');
  const frozenMs = performance.now();
  try {
    await until(
      async () => await mesh.peersOf('oslo'),
      (peers) => !peers.includes(relay),
      10_000,
    );
    const around = await until(
      async () => await open().catch(() => undefined),
      (socket) => socket !== undefined,
      5000,
    );
    console.log(`a new stream ${(performance.now() - frozenMs).toFixed(0)} ms after a relay froze`);
    expect(around === undefined ? '' : await roundTrip(around, 'around it')).toBe('around it');
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await until(
    async () => await mesh.status(),
    ({ nodes }) => nodes.find((node) => node.name === relay)?.peers.length === 4 && lonelyLinks(nodes).length === 0,
    15_000,
  );
  expect(await mesh.peersOf(relay)).toHaveLength(4);
});

test('without the control plane streams go on, new ones open, and a node that restarts links again', async () => {
  const client = await open();
  const path = (await mesh.streams()).flatMap((row) => (row.node === 'oslo' ? row.path : []));
  const relay = await mesh.node(['rome', 'delhi', 'cairo', 'kyoto'].find((name) => !path.includes(name)) ?? '');
  process.kill(controlPid(), 'SIGKILL');
  await mesh.up.says(/CHILD_ENDED: control ended/);
  expect(await roundTrip(client, 'still here')).toBe('still here');
  expect(await roundTrip(await open(), 'new')).toBe('new');
  const { status, stderr } = await mesh.tryX0('status');
  expect([status, stderr]).toEqual([4, expect.stringMatching(/^x0: CONTROL_UNREACHABLE: .*\n$/)]);

  process.kill(relay.pid, 'SIGKILL');
  await startAgain(relay.name);
  const fromRelay = await until(
    async () => await openBySocks(portOf(relay.listen.socks), 'echo').catch(() => undefined),
    (socket) => socket !== undefined,
    15_000,
  );
  expect(fromRelay === undefined ? '' : await roundTrip(fromRelay, 'restarted')).toBe('restarted');
  fromRelay?.destroy();

  const program = await startAgain('control');
  const nodes = await until(
    async () => (await mesh.tryX0('status', '--json')).stdout,
    (text) => (text.match(/"state":"up","revoked"/g) ?? []).length === NAMES.length,
    30_000,
  );
  expect(nodes).toContain('"name":"echo"');
  expect(program.child.exitCode).toBeNull();
  expect(await roundTrip(client, 'and after')).toBe('and after');
});

function controlPid(): number {
  const pids = findProcesses(`control\0--data-dir\0${mesh.dataDir}\0`);
  expect(pids).toHaveLength(1);
  return pids[0] ?? 0;
}

test('a revoked node loses its links and cannot link again', async () => {
  await mesh.x0('node', 'revoke', 'cairo');
  await until(
    async () => await mesh.peersOf('lima'),
    (peers) => !peers.includes('cairo'),
    5000,
  );
  await until(
    async () => await mesh.status(),
    ({ nodes }) => nodes.every((node) => node.peers.every((peer) => peer.name !== 'cairo')),
    5000,
  );
  expect(await roundTrip(await open(), 'around it')).toBe('around it');
  await killAndStartAgain('kyoto');
  await until(
    async () => await mesh.peersOf('kyoto'),
    (peers) => peers.length === 3,
    15_000,
  );
  expect(await mesh.peersOf('kyoto')).toEqual(['delhi', 'lima', 'rome']);
  const refused = await until(
    async () => (await mesh.node('kyoto')).counters,
    (counters) => Object.keys(counters).some((name) => name.includes('CERT_REVOKED')),
    15_000,
  );
  expect(Object.keys(refused).filter((name) => name.includes('CERT_REVOKED'))).not.toEqual([]);
  expect(await mesh.peersOf('kyoto')).not.toContain('cairo');
});
