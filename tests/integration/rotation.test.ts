import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { awaitPath, startStaticMesh, type StaticMesh, targetAt } from '../harness/static-mesh.ts';
import { connectTcp, openEcho, seededBytes, type TcpBackend } from '../harness/tcp.ts';

const LIFE_MS = 16_000;
const RUN_MS = 40_000;
const NODES = ['a', 'b', 'r1', 'r2'];
const PIECE = seededBytes('rotation', 65_536);
const PIECE_PAUSE_MS = 20;

let mesh: StaticMesh;
let echo: TcpBackend;
let renewing: NodeJS.Timeout | undefined;
let lastRenewal = Promise.resolve();

beforeAll(async () => {
  echo = await openEcho();
  mesh = await startStaticMesh(
    [
      { name: 'a', relay: false, links: ['r1', 'r2'], forwards: ['echo'] },
      { name: 'b', relay: false, links: ['r1', 'r2'] },
      { name: 'r1', relay: true, links: ['a', 'b'] },
      { name: 'r2', relay: true, links: ['a', 'b'] },
    ],
    [{ name: 'echo', instances: targetAt(echo.port) }],
    [],
    LIFE_MS,
  );
  await awaitPath(mesh, 'a', 'b');
});

afterAll(async () => {
  clearInterval(renewing);
  await lastRenewal;
  await mesh.stop();
  await echo.close();
});

async function renewAll(): Promise<void> {
  for (const node of NODES) await mesh.renew(node, LIFE_MS);
}

test(
  'a stream runs on, byte for byte, while every certificate on its way is renewed again and again',
  async () => {
    const socket = await connectTcp(mesh.port('a', 'echo'));
    const [sent, received] = [createHash('sha256'), createHash('sha256')];
    let [sentBytes, receivedBytes, renewals, mostTunnels] = [0, 0, 0, 0];
    const ended = Promise.withResolvers<string>();
    socket.on('data', (chunk: Buffer) => {
      received.update(chunk);
      receivedBytes += chunk.byteLength;
    });
    socket.once('end', () => ended.resolve('end'));
    socket.once('error', (error: NodeJS.ErrnoException) => ended.resolve(error.code ?? error.message));
    await renewAll();
    renewing = setInterval(() => {
      renewals++;
      lastRenewal = lastRenewal.then(renewAll);
    }, LIFE_MS / 2);
    for (const startMs = performance.now(); performance.now() - startMs < RUN_MS && !socket.destroyed; ) {
      sent.update(PIECE);
      sentBytes += PIECE.byteLength;
      if (!socket.write(PIECE)) await new Promise((resolve) => socket.once('drain', resolve).once('close', resolve));
      await pause(PIECE_PAUSE_MS);
    }
    clearInterval(renewing);
    for (const node of NODES) mostTunnels = Math.max(mostTunnels, (await mesh.status(node)).tunnels.length);
    const { streams, counters } = await mesh.status('a');
    const [stream] = streams;
    const gaps = stream?.moves.map(({ gapMs }) => gapMs) ?? [];
    const whys = [...new Set(stream?.moves.map(({ reason }) => reason))].join(', ');
    console.log(
      `${RUN_MS / 1000} s, certificates of ${LIFE_MS / 1000} s renewed ${renewals} times: ${sentBytes} bytes, ` +
        `${stream?.moveCount} moves (${whys}), longest gap ${Math.max(0, ...gaps).toFixed(1)} ms, at most ${mostTunnels} tunnels`,
    );
    socket.end();
    expect(await ended.promise).toBe('end');
    expect([receivedBytes, received.digest('hex')]).toEqual([sentBytes, sent.digest('hex')]);
    expect(renewals).toBeGreaterThanOrEqual(2);
    expect(stream?.moveCount).toBeGreaterThanOrEqual(2);
    expect(counters['conduit-lost']).toBeUndefined();
    expect(mostTunnels).toBeLessThanOrEqual(8);
  },
  RUN_MS + 40_000,
);
