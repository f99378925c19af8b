import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listenTcp } from '../edge-listener/tcp-listener.ts';
import { splice } from './splice.ts';

let servers: Server[];

beforeEach(() => {
  servers = [];
});

afterEach(() => {
  for (const server of servers) server.close();
});

/** A TCP connection: the client's end and the accepted end. */
async function tcpPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not TCP');
  const client = connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true });
  const [accepted] = (await once(server, 'connection')) as [Socket];
  await once(client, 'connect');
  return [client, accepted];
}

async function readAll(stream: Duplex): Promise<number> {
  let bytes = 0;
  stream.on('data', (chunk: Uint8Array) => {
    bytes += chunk.byteLength;
  });
  await once(stream, 'end');
  return bytes;
}

test('each direction ends on its own and every byte arrives', async () => {
  const [client, accepted] = await tcpPair();
  const [near, far] = duplexPair({ allowHalfOpen: true });
  const done = splice(accepted, near);
  client.end(Buffer.alloc(3_000_000, 1));
  expect(await readAll(far)).toBe(3_000_000);
  far.end(Buffer.alloc(2_000_000, 2));
  expect(await readAll(client)).toBe(2_000_000);
  expect(await done).toEqual({ leftToRightBytes: 3_000_000, rightToLeftBytes: 2_000_000, error: undefined });
});

test('a client that ended before the stream was there is heard', async () => {
  const [client, accepted] = await tcpPair();
  accepted.pause();
  client.end();
  if (!accepted.readableEnded) await once(accepted.resume(), 'end');
  const [near, far] = duplexPair({ allowHalfOpen: true });
  const done = splice(accepted, near);
  far.end('answer');
  expect(await readAll(far)).toBe(0);
  expect(await readAll(client)).toBe(6);
  expect((await done).error).toBeUndefined();
});

test('a reset of the mesh stream is a reset for the client', async () => {
  const [client, accepted] = await tcpPair();
  const [near] = duplexPair({ allowHalfOpen: true });
  const done = splice(accepted, near);
  const failed = once(client, 'error');
  near.destroy(new Error('tunnel lost'));
  const [error] = (await failed) as [Error & { code: string }];
  expect(error.code).toBe('ECONNRESET');
  expect((await done).error?.message).toBe('tunnel lost');
});

test('a client that resets destroys the mesh stream with an error', async () => {
  const [client, accepted] = await tcpPair();
  const [near] = duplexPair({ allowHalfOpen: true });
  const done = splice(accepted, near);
  client.resetAndDestroy();
  expect((await done).error).toMatchObject({ code: 'ECONNRESET' });
  expect(near.errored).not.toBeNull();
});

test('a stream that was closed already resets the other at once', async () => {
  const [client, accepted] = await tcpPair();
  const [near] = duplexPair({ allowHalfOpen: true });
  near.destroy();
  await once(near, 'close');
  const failed = once(client, 'error');
  expect((await splice(accepted, near)).error).toMatchObject({ code: 'STREAM_RESET' });
  await failed;
});

test('a reader that does not read stops its writer', async () => {
  const [client, accepted] = await tcpPair();
  const [near, far] = duplexPair({ allowHalfOpen: true, highWaterMark: 16 * 1024 });
  void splice(accepted, near);
  let written = 0;
  while (client.write(Buffer.alloc(64 * 1024)) || (await drained(client))) written += 64 * 1024;
  expect(written).toBeLessThan(64 * 1024 * 1024);
  expect(near.writableLength + far.readableLength).toBeLessThan(1024 * 1024);
  client.resetAndDestroy();
});

/** Whether `socket` drained while the loop turned; a stalled one does not, however long. */
async function drained(socket: Socket): Promise<boolean> {
  let drains = 0;
  socket.on('drain', () => drains++);
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
  return drains > 0;
}

test('a listener that closes leaves no client and no port behind', async () => {
  const listener = await listenTcp({ host: '127.0.0.1', port: 0 }, (socket) => socket.resume());
  const client = connect(listener.address);
  await once(client, 'connect');
  const failed = once(client, 'error');
  await listener.close();
  await failed;
  const again = await listenTcp(listener.address, () => undefined);
  await expect(listenTcp(listener.address, () => undefined)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await again.close();
});
