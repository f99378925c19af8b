import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { present } from '#kernel/assert.ts';
import { SeededRandom } from '#kernel/random.ts';
import { createTestCa, type TestCa } from '../../../tests/fixtures/test-ca.ts';
import {
  closed,
  connectRaw,
  credentialsOf,
  dial,
  ListenerUnderTest,
  LOOPBACK,
  until,
} from '../../../tests/fixtures/tunnels.ts';
import type { TunnelCredentials } from './credentials.ts';
import { HANDSHAKE_TIMEOUT_MS } from './handshake.ts';

/** Linux routes all of 127/8 to the loopback, so that a test can come from many addresses. */
const SOURCES = Array.from({ length: 10 }, (_, index) => `127.0.1.${index + 1}`);

describe('a link listener', () => {
  let ca: TestCa;
  let rome: TunnelCredentials;
  let listener: ListenerUnderTest;
  let sockets: Socket[];

  beforeAll(async () => {
    ca = await createTestCa();
    rome = credentialsOf(ca, 'rome', await ca.issue({ name: 'rome' }));
  });

  beforeEach(async () => {
    listener = await new ListenerUnderTest(credentialsOf(ca, 'oslo', await ca.issue({ name: 'oslo' }))).listen();
    sockets = [];
  });

  afterEach(() => {
    vi.useRealTimers();
    for (const socket of sockets) socket.destroy();
    listener.close();
  });

  async function occupy(count: number, sources: readonly string[]): Promise<void> {
    for (let index = 0; index < count; index += 50) {
      const batch = Array.from({ length: Math.min(50, count - index) }, (_, offset) =>
        connectRaw(listener.port, present(sources[(index + offset) % sources.length], 'a source')),
      );
      sockets.push(...(await Promise.all(batch)));
    }
  }

  async function linksGoodPeer(): Promise<number> {
    const startMs = performance.now();
    const { socket, peer } = await dial(listener.address, rome, 'oslo');
    expect(peer.name).toBe('oslo');
    await until(() => listener.accepted.some(({ peer: { name } }) => name === 'rome'));
    socket.destroy();
    return performance.now() - startMs;
  }

  test('with a thousand half-open connections holds 256 and still links a good peer within two seconds', async () => {
    await occupy(1_000, SOURCES);
    await until(() => (listener.refusals()['HALF_OPEN_CAP'] ?? 0) >= 1_000 - 256);
    expect(listener.listener.halfOpenCount).toBe(256);
    expect(await linksGoodPeer()).toBeLessThan(2_000);
    expect(listener.listener.halfOpenCount).toBeLessThanOrEqual(256);
    expect(listener.refusals()).toEqual({ HALF_OPEN_CAP: 1_000 - 256 + 1 });
  });

  test('gives one address a burst of two hundred and refuses the rest, but not another address', async () => {
    await occupy(400, ['127.0.1.1']);
    await until(() => (listener.refusals()['ADDRESS_RATE'] ?? 0) > 0);
    expect(listener.listener.halfOpenCount).toBeLessThan(300);
    expect(await linksGoodPeer()).toBeLessThan(2_000);
    expect(Object.keys(listener.refusals())).toContain('ADDRESS_RATE');
  });

  test('gives up a connection that says nothing', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    await occupy(1, [LOOPBACK]);
    await until(() => listener.listener.halfOpenCount === 1);
    vi.advanceTimersByTime(HANDSHAKE_TIMEOUT_MS - 1);
    expect(listener.refusals()).toEqual({});
    vi.advanceTimersByTime(1);
    await until(() => listener.listener.halfOpenCount === 0);
    expect(listener.refusals()).toEqual({ HANDSHAKE_TIMEOUT: 1 });
  });

  test('gives up one that sends half a ClientHello and waits', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const hello = await clientHello(rome);
    await occupy(1, [LOOPBACK]);
    present(sockets[0], 'a socket').write(hello.subarray(0, hello.byteLength / 2));
    await until(() => listener.listener.halfOpenCount === 1);
    vi.advanceTimersByTime(HANDSHAKE_TIMEOUT_MS);
    await until(() => listener.listener.halfOpenCount === 0);
    expect(listener.refusals()).toEqual({ HANDSHAKE_TIMEOUT: 1 });
  });

  test.each([
    ['garbage', new SeededRandom(7).bytes(4_096)],
    ['a million zero bytes', new Uint8Array(1_000_000)],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
  ])('refuses %s by name and serves as before', async (_what, bytes) => {
    await occupy(1, [LOOPBACK]);
    const socket = present(sockets[0], 'a socket');
    socket.write(bytes);
    await closed(socket);
    await until(() => Object.keys(listener.refusals()).length > 0);
    expect(listener.refusals()).toEqual({ TLS_VERSION: 1 });
    expect(await linksGoodPeer()).toBeLessThan(2_000);
  });

  test.each([1, 5, 6, 400, 900])('refuses a ClientHello cut off after %i bytes', async (bytes) => {
    const hello = await clientHello(rome);
    expect(hello.byteLength).toBeGreaterThan(1_000);
    await occupy(1, [LOOPBACK]);
    present(sockets[0], 'a socket').end(hello.subarray(0, bytes));
    await until(() => listener.refusals()['HANDSHAKE_CLOSED'] === 1);
    expect(await linksGoodPeer()).toBeLessThan(2_000);
  });

  test('survives connections that are reset at once', async () => {
    await occupy(50, SOURCES);
    for (const socket of sockets) socket.resetAndDestroy();
    await until(() => listener.listener.halfOpenCount === 0);
    expect(await linksGoodPeer()).toBeLessThan(2_000);
  });
});

async function clientHello(credentials: TunnelCredentials): Promise<Buffer> {
  const server = createServer().listen(0, LOOPBACK);
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  const accepted = once(server, 'connection');
  const dialled = connect({ host: LOOPBACK, port: address.port, secureContext: credentials.context });
  dialled.on('error', () => dialled.destroy());
  const [socket] = (await accepted) as [Socket];
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  dialled.destroy();
  server.close();
  return chunk;
}
