import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { concatBytes } from '#kernel/bytes.ts';
import { SeededRandom } from '#kernel/random.ts';
import { secureAsAcceptor, secureAsDialer } from '#io/tunnel-tls/handshake.ts';
import { Network } from '../../sim/network/network.ts';
import { Timeline } from '../../sim/network/timeline.ts';
import { connectTransport, type TransportEnd } from '../../sim/network/transport.ts';
import { type ConformingEnd, type ConformingPair, describeTransport } from '../conformance/transport-conformance.ts';
import { createTestCa } from '../fixtures/test-ca.ts';
import { credentialsOf } from '../fixtures/tunnels.ts';

const LIMIT_MS = 10_000;
const POLL_MS = 5;
const BLOCK = { isBlocked: true };

describeTransport('TLS over TCP', async () => {
  const ca = await createTestCa();
  const [a, b] = [await ca.issue({ name: 'a' }), await ca.issue({ name: 'b' })];
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const way = await openWay((listener.address() as AddressInfo).port);
  const accepted = once(listener, 'connection') as Promise<[Socket]>;
  const raw = connect({ host: '127.0.0.1', port: way.port, noDelay: true });
  const [dialled, other] = await Promise.all([
    secureAsDialer(raw, { credentials: credentialsOf(ca, 'a', a), isRevoked: () => false }),
    accepted.then(async ([socket]) =>
      secureAsAcceptor(socket, { credentials: credentialsOf(ca, 'b', b), isRevoked: () => false }),
    ),
  ]);
  const pair: ConformingPair = {
    near: realEnd(dialled.socket),
    far: realEnd(other.socket),
    setBlocked: (isBlocked) => way.setBlocked(isBlocked),
    until: async (isDone) => {
      const deadlineMs = performance.now() + LIMIT_MS;
      while (!isDone()) {
        if (performance.now() > deadlineMs) throw new Error('it took too long');
        await pause(POLL_MS);
      }
    },
    wait: async (ms) => pause(ms),
    close: () => {
      for (const socket of [dialled.socket, other.socket]) socket.destroy();
      way.close();
      listener.close();
    },
  };
  return pair;
});

/** A cable that can be cut without anybody being told. */
async function openWay(
  to: number,
): Promise<{ readonly port: number; setBlocked(isBlocked: boolean): void; close(): void }> {
  const sockets: Socket[] = [];
  const cable = createServer({ allowHalfOpen: true, noDelay: true }, (left) => {
    const right = connect({ host: '127.0.0.1', port: to, allowHalfOpen: true, noDelay: true });
    for (const [from, onto] of [
      [left, right],
      [right, left],
    ] as const) {
      sockets.push(from);
      from.on('data', (chunk) => {
        if (!onto.write(chunk)) from.pause();
      });
      onto.on('drain', () => from.resume());
      from.on('end', () => onto.end());
      from.on('error', () => onto.resetAndDestroy());
      from.on('close', () => onto.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(cable, 'listening');
  return {
    port: (cable.address() as AddressInfo).port,
    setBlocked: (isBlocked) => {
      for (const socket of sockets) {
        if (isBlocked) socket.pause();
        else socket.resume();
      }
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      cable.close();
    },
  };
}

/** As the mesh driver uses it. */
function realEnd(socket: TLSSocket): ConformingEnd {
  const chunks: Uint8Array[] = [];
  let isClosed = false;
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.once('end', () => socket.destroy());
  socket.once('close', () => {
    isClosed = true;
  });
  socket.resume();
  return {
    write: (bytes) => void (socket.destroyed ? false : socket.write(bytes)),
    isFull: () => socket.writableNeedDrain,
    got: () => concatBytes(chunks),
    isClosed: () => isClosed,
    setReading: (isReading) => void (isReading ? socket.resume() : socket.pause()),
    finish: () => void socket.end(),
    reset: () => void socket.destroy(),
  };
}

describeTransport('the simulator', async () => {
  const timeline = new Timeline();
  const network = new Network(() => ({ delayMs: 5, jitterMs: 1, bytesPerMs: 1_000, lossShare: 0.01 }));
  const [near, far] = connectTransport(['a', 'b'], network, timeline, new SeededRandom(3));
  return {
    near: simulatedEnd(near),
    far: simulatedEnd(far),
    setBlocked: (isBlocked) => {
      for (const direction of [network.direction('a', 'b'), network.direction('b', 'a')]) {
        if (isBlocked) direction.add(BLOCK, timeline.nowMs);
        else direction.remove(BLOCK, timeline.nowMs);
      }
    },
    until: async (isDone) => {
      const limitMs = timeline.nowMs + 6 * LIMIT_MS;
      while (!isDone()) {
        if (timeline.nowMs >= limitMs) throw new Error('it took too long');
        timeline.runUntil(timeline.nowMs + 5);
      }
    },
    wait: async (ms) => timeline.runUntil(timeline.nowMs + ms),
    close: () => {},
  };
});

function simulatedEnd(end: TransportEnd): ConformingEnd {
  const chunks: Uint8Array[] = [];
  let isClosed = false;
  let isReading = true;
  let unreadBytes = 0;
  end.user = {
    handleBytes: (bytes) => {
      chunks.push(bytes.slice());
      if (isReading) end.noteRead(bytes.byteLength);
      else unreadBytes += bytes.byteLength;
    },
    handleClosed: () => {
      isClosed = true;
    },
    handleRoom: () => {},
  };
  return {
    write: (bytes) => end.write(bytes.slice()),
    isFull: () => end.roomBytes <= 0,
    got: () => concatBytes(chunks),
    isClosed: () => isClosed,
    setReading: (reads) => {
      isReading = reads;
      if (!reads || unreadBytes === 0) return;
      end.noteRead(unreadBytes);
      unreadBytes = 0;
    },
    finish: () => end.finish(),
    reset: () => end.reset(),
  };
}
