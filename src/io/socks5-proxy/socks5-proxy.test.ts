import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Counters } from '#kernel/counters.ts';
import type { Listener } from '../edge-listener/tcp-listener.ts';
import { FakeOpener } from '../stream-splice/fake-opener.ts';
import { parseGreeting, parseRequest } from './socks5-codec.ts';
import { openSocks5Proxy } from './socks5-proxy.ts';

const GREETING = [5, 1, 0];
let proxy: Listener;
let counters: Counters;
let opener: FakeOpener;

beforeEach(async () => {
  counters = new Counters();
  opener = new FakeOpener({
    echo: (far) => far.pipe(far),
    denied: 'TARGET_NOT_ALLOWED',
    lost: 'NO_PATH',
    refused: 'TARGET_REFUSED',
    slow: 'TARGET_TIMEOUT',
    broken: 'SOMETHING_ELSE',
  });
  proxy = await openSocks5Proxy({ host: '127.0.0.1', port: 0 }, { opener, counters, handshakeTimeoutMs: 200 });
});

afterEach(async () => {
  await proxy.close();
});

async function dial(): Promise<Socket> {
  const socket = connect({ ...proxy.address, allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

function connectRequest(host: string, port = 80): number[] {
  return [5, 1, 0, 3, host.length, ...Buffer.from(host, 'latin1'), port >> 8, port & 255];
}

async function readToEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** All that the proxy says to `bytes` from a client that keeps its connection open. */
async function answerTo(bytes: readonly number[]): Promise<number[]> {
  const socket = await dial();
  socket.write(Uint8Array.from(bytes));
  const answer = [...(await readToEnd(socket))];
  socket.destroy();
  return answer;
}

async function replyTo(request: readonly number[]): Promise<number | undefined> {
  const [version, method, , reply] = await answerTo([...GREETING, ...request]);
  expect([version, method]).toEqual([5, 0]);
  return reply;
}

test('a client reaches a service by name on any port, also when it sends everything at once', async () => {
  const socket = await dial();
  socket.end(Buffer.concat([Buffer.from([...GREETING, ...connectRequest('Echo.MESH', 4711)]), Buffer.from('hello')]));
  const answer = await readToEnd(socket);
  expect([...answer.subarray(0, 12)]).toEqual([5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  expect(answer.subarray(12).toString()).toBe('hello');
  expect(opener.opened[0]?.service).toBe('echo');
  expect(opener.opened[0]?.source.address).toMatch(/^127\.0\.0\.1:\d+$/);
});

test('a client that sends byte by byte is understood', async () => {
  const socket = await dial();
  socket.setNoDelay(true);
  for (const byte of [...GREETING, ...connectRequest('echo.mesh')]) {
    socket.write(Uint8Array.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end('x');
  expect((await readToEnd(socket)).at(-1)).toBe('x'.charCodeAt(0));
});

describe('what is refused has the protocol’s own reply', () => {
  test.each([
    ['an unknown service', connectRequest('nobody.mesh'), 4],
    ['a name that no service can have', connectRequest('-x.mesh'), 4],
    ['a denied service', connectRequest('denied.mesh'), 2],
    ['a service without a path', connectRequest('lost.mesh'), 3],
    ['a target that refuses', connectRequest('refused.mesh'), 5],
    ['a target that does not answer', connectRequest('slow.mesh'), 6],
    ['a failure without a word for it', connectRequest('broken.mesh'), 1],
    ['a name outside the mesh', connectRequest('example.org'), 2],
    ['a name of 255 bytes', connectRequest('a'.repeat(250) + '.mesh'), 4],
    ['a name with a NUL', connectRequest('echo\0.mesh'), 4],
    ['an empty name', connectRequest(''), 2],
    ['IPv4', [5, 1, 0, 1, 127, 0, 0, 1, 0, 80], 2],
    ['IPv6', [5, 1, 0, 4, ...Array.from({ length: 16 }, () => 0), 0, 80], 2],
    ['an IPv4 literal as a name', connectRequest('127.0.0.1'), 2],
    ['an unknown address type', [5, 1, 0, 9, 1, 2, 3], 8],
    ['BIND', [5, 2, 0, 3, 4, 97, 97, 97, 97, 0, 80], 7],
    ['UDP ASSOCIATE', [5, 3, 0, 1, 0, 0, 0, 0, 0, 0], 7],
  ])('%s', async (_what, request, reply) => {
    expect(await replyTo(request)).toBe(reply);
  });

  test('a client that insists on a password', async () => {
    expect(await answerTo([5, 2, 1, 2])).toEqual([5, 255]);
  });
});

test.each([
  ['SOCKS4', [4, 1, 0, 80, 127, 0, 0, 1, 0]],
  ['HTTP', [...Buffer.from('GET / HTTP/1.1\r\n\r\n')]],
  ['a TLS hello', [0x16, 3, 1, 2, 0]],
])('%s on this port is dropped and counted', async (_what, bytes) => {
  expect(await answerTo(bytes)).toEqual([]);
  expect(counters.get('socks.SOCKS_MALFORMED')).toBe(1);
});

test('a second message of another version is dropped', async () => {
  expect(await answerTo([...GREETING, 4, 1])).toEqual([5, 0]);
  expect(counters.get('socks.SOCKS_MALFORMED')).toBe(1);
});

test('a client that drips is dropped after the handshake time', async () => {
  expect(await answerTo([5])).toEqual([]);
  expect(await answerTo([...GREETING, 5, 1, 0, 3, 200, 97])).toEqual([5, 0]);
  expect(counters.get('socks.SOCKS_TIMEOUT')).toBe(2);
});

test('a client that ends in the handshake is dropped at once', async () => {
  const socket = await dial();
  socket.end(Uint8Array.of(5, 3));
  expect(await readToEnd(socket)).toHaveLength(0);
  expect(counters.get('socks.SOCKS_TRUNCATED')).toBe(1);
});

test('after garbage of any kind the proxy serves as before', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), async (bytes) => {
      const socket = await dial();
      socket.on('error', () => socket.destroy());
      socket.end(bytes);
      socket.resume();
      await once(socket, 'close');
    }),
    { numRuns: 50 },
  );
  expect(await replyTo(connectRequest('nobody.mesh'))).toBe(4);
});

test('no bytes make the codec throw or take more than there is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      for (const message of [parseGreeting(bytes), parseRequest(bytes)]) {
        expect('length' in message ? message.length : 0).toBeLessThanOrEqual(bytes.byteLength);
      }
    }),
  );
});
