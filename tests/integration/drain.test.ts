import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { EchoBeat } from '../harness/echo-beat.ts';
import { openBySocks, openEcho, SocksRefusal, socksReply, type TcpBackend } from '../harness/tcp.ts';
import { type StreamRow, UpMesh, until } from '../harness/up.ts';

vi.setConfig({ testTimeout: 60_000 });

let mesh: UpMesh;
let oslo: number;
let echo: TcpBackend;
const sockets: Socket[] = [];

beforeAll(async () => {
  echo = await openEcho();
  mesh = await UpMesh.start();
  oslo = await mesh.socks('oslo');
  await mesh.x0('expose', 'echo', '--to', `127.0.0.1:${echo.port}`, '--node', 'lima');
  await until(
    async () => await socksReply(oslo, 'echo.mesh'),
    (reply) => reply === 0,
    5_000,
  );
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

afterAll(async () => {
  await mesh.stop();
  await echo.close();
});

async function beat(): Promise<EchoBeat> {
  const socket = await openBySocks(oslo, 'echo');
  const made = new EchoBeat(socket);
  sockets.push(socket);
  await until(
    () => made.count,
    (count) => count > 20,
    5_000,
  );
  return made;
}

async function clientStream(): Promise<StreamRow> {
  const row = (await mesh.streams()).find(({ node, service }) => node === 'oslo' && service === 'echo');
  if (row === undefined) throw new Error('no stream');
  return row;
}

async function stateOf(name: string): Promise<unknown> {
  const { state, drain } = (await mesh.node(name)) as unknown as Record<string, unknown>;
  return { state, drain };
}

async function refusal(...args: readonly string[]): Promise<readonly [number | null, string]> {
  const { status, stderr } = await mesh.tryX0(...args);
  return [status, /^x0: ([A-Z_]+)/.exec(stderr)?.[1] ?? stderr];
}

test('what cannot be drained or served on is refused by name', async () => {
  expect(await refusal('drain', 'nobody')).toEqual([1, 'NODE_UNKNOWN']);
  expect(await refusal('undrain', 'nobody')).toEqual([1, 'NODE_UNKNOWN']);
  expect(await refusal('undrain', 'rome')).toEqual([1, 'NODE_NOT_DRAINING']);
  expect(await refusal('drain', 'rome', '--grace', 'soon')).toEqual([2, 'USAGE']);
  expect(await refusal('drain', 'rome', '--grace', '86401')).toEqual([1, 'GRACE_INVALID']);
  expect(await stateOf('rome')).toEqual({ state: 'up', drain: null });
});

test('a drain is taken back while the node has not stopped; until then it takes nothing new', async () => {
  const running = await beat();
  expect(await mesh.json('drain', 'lima', '--grace', '60')).toMatchObject({
    name: 'lima',
    drain: 'draining',
    streams: 1,
  });
  await until(
    async () => await stateOf('lima'),
    (state) => JSON.stringify(state) === '{"state":"up","drain":"draining"}',
    5_000,
  );
  await expect(openBySocks(oslo, 'echo')).rejects.toBeInstanceOf(SocksRefusal);
  expect(await mesh.json('drain', 'lima', '--grace', '50')).toMatchObject({ drain: 'draining' });
  expect(await mesh.json('undrain', 'lima')).toMatchObject({ name: 'lima', state: 'up', drain: null });
  expect(await refusal('undrain', 'lima')).toEqual([1, 'NODE_NOT_DRAINING']);
  await until(
    async () => await socksReply(oslo, 'echo.mesh'),
    (reply) => reply === 0,
    5_000,
  );
  expect(running.wrong).toBe(0);
});

test('a stream moves off a relay that drains, which then stops and says so', async () => {
  const running = await beat();
  const [, relay = ''] = (await clientStream()).path;
  running.longestMs = 0;
  const startMs = performance.now();
  await mesh.x0('drain', relay);
  await mesh.up.says(new RegExp(`${relay} was drained and stopped; start it again in another terminal: .*${relay}`));
  const tookMs = performance.now() - startMs;
  const { longestMs } = running;
  const before = running.count;
  await until(
    () => running.count,
    (count) => count > before + 100,
    5_000,
  );
  const { moves, path } = await clientStream();
  const [move] = moves;
  console.log(
    `drain of ${relay}: gap ${move?.gapMs.toFixed(1)} ms, longest echo ${longestMs.toFixed(1)} ms, stopped after ${tookMs.toFixed(0)} ms`,
  );
  expect(running.wrong).toBe(0);
  expect(path).not.toContain(relay);
  expect(move).toMatchObject({ reason: 'PATH_DRAINING' });
  expect(tookMs).toBeLessThan(25_000);
  expect(await stateOf(relay)).toEqual({ state: 'down', drain: 'drained' });
  expect(await mesh.x0('status')).toMatch(new RegExp(`${relay} was drained and stopped .*start it again`));
  expect(await refusal('drain', relay)).toEqual([1, 'NODE_DOWN']);
  expect(await mesh.json('undrain', relay)).toMatchObject({ name: relay, state: 'down', drain: null });
  expect(await stateOf(relay)).toEqual({ state: 'down', drain: null });
});

test('a stream that ends at a drained node has the grace time, and ends with NODE_DRAINED', async () => {
  const running = await beat();
  const startMs = performance.now();
  await mesh.x0('drain', 'lima', '--grace', '2');
  await running.ended;
  const tookMs = performance.now() - startMs;
  console.log(`grace of 2 s: the stream ended after ${tookMs.toFixed(0)} ms`);
  expect(tookMs).toBeGreaterThan(1_900);
  expect(running.wrong).toBe(0);
  const { ended } = (await mesh.json('streams', '--ended')) as { ended: readonly StreamRow[] };
  expect(ended.findLast(({ node }) => node === 'oslo')).toMatchObject({ service: 'echo', reason: 'NODE_DRAINED' });
  await mesh.up.says(/lima was drained and stopped/);
});
