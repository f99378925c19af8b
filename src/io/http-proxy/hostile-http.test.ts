import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Counters } from '#kernel/counters.ts';
import type { Listener } from '../edge-listener/tcp-listener.ts';
import { FakeOpener } from '../stream-splice/fake-opener.ts';
import { openHttpProxy } from './http-proxy.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

let proxy: Listener;
let counters: Counters;
/** What the service answers, byte for byte. */
let answer: string;
/** What the service got, byte for byte. */
let seen: string;
/** The proxy's ends of them. */
let streams: Duplex[];

beforeEach(async () => {
  counters = new Counters();
  [answer, seen, streams] = [OK, '', []];
  const mesh = new FakeOpener({
    hello: (far) => {
      far.on('data', (bytes: Buffer) => {
        if (seen === '') far.write(answer, 'latin1');
        seen += bytes.toString('latin1');
      });
    },
  });
  const open: FakeOpener['open'] = async (service, source) => {
    const stream = await mesh.open(service, source);
    streams.push(stream);
    return stream;
  };
  const opener = { open };
  proxy = await openHttpProxy({ host: '127.0.0.1', port: 0 }, { opener, counters, headersTimeoutMs: 300 });
});

afterEach(async () => {
  await proxy.close();
});

/** All that the proxy says to one request, which asks it to close. */
async function ask(start: string, headers: readonly string[] = [], body = ''): Promise<string> {
  const socket = connect({ ...proxy.address, allowHalfOpen: true });
  const connection = headers.some((header) => /^connection:/i.test(header)) ? [] : ['Connection: close'];
  socket.write([start, ...headers, ...connection, '', body].join('\r\n'), 'latin1');
  socket.end();
  const said = await text(socket);
  socket.destroy();
  return said;
}

const GET = 'GET http://hello.mesh/ HTTP/1.1';
const POST = 'POST http://hello.mesh/ HTTP/1.1';
const HOST = 'Host: hello.mesh';
const SMUGGLED = 'GET /admin HTTP/1.1\r\nHost: hello.mesh\r\n\r\n';
const LENGTH = `Content-Length: ${SMUGGLED.length}`;
const CHUNKED = 'Transfer-Encoding: chunked';
const CHUNKS = '3\r\nabc\r\n0\r\n\r\n';

test.each<[string, string, string[], string]>([
  ['a length and chunks', POST, [HOST, CHUNKED, 'Content-Length: 3'], CHUNKS],
  ['two lengths', POST, [HOST, 'Content-Length: 3', 'Content-Length: 4'], 'abcd'],
  ['a list of lengths', POST, [HOST, 'Content-Length: 3, 3'], 'abc'],
  ['a signed length', POST, [HOST, 'Content-Length: +3'], 'abc'],
  ['a space before the colon', POST, [HOST, 'Content-Length : 3'], 'abc'],
  ['chunks that are compressed', POST, [HOST, 'Transfer-Encoding: gzip, chunked'], CHUNKS],
  ['chunks that are not last', POST, [HOST, 'Transfer-Encoding: chunked, identity'], CHUNKS],
  ['two hosts', GET, [HOST, 'Host: other.mesh'], ''],
  ['a folded header', GET, [HOST, 'X: a', ' b: c'], ''],
  ['a NUL in a header', GET, [HOST, 'X: a\0b'], ''],
  ['a tab in the name', 'GET http://hel\tlo.mesh/ HTTP/1.1', [HOST], ''],
  ['a line break in the name', 'GET http://hello.mesh%0d%0a.mesh/ HTTP/1.1', [HOST], ''],
  ['a backslash in the authority', 'GET http://other.mesh\\@hello.mesh/ HTTP/1.1', [HOST], ''],
  ['a name of two letters in UTF-8', 'GET http://h\xc3\xa9llo.mesh/ HTTP/1.1', [HOST], ''],
])('%s: refused, and not one whole request reaches the service', async (_what, start, headers, body) => {
  expect(await ask(start, headers, body)).toMatch(/^HTTP\/1\.1 400 /);
  expect(seen).not.toMatch(/admin|abc|\r\n0\r\n/);
  expect(await ask(GET, [HOST])).toContain('ok');
});

test.each<[string, string, number]>([
  ['a name of 12,000 letters', `GET http://${'a'.repeat(12_000)}.mesh/ HTTP/1.1`, 404],
  ['a name that ends in two dots', `GET http://hello.mesh../ HTTP/1.1`, 403],
  ['a path of 20,000 letters', `GET http://hello.mesh/${'a'.repeat(20_000)} HTTP/1.1`, 431],
])('%s is refused', async (_what, start, status) => {
  expect(await ask(start, [HOST])).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(seen).toBe('');
});

test('the absolute URI decides, whatever Host says', async () => {
  await ask(GET, ['Host: other.mesh']);
  expect(seen).toMatch(/^GET \/ HTTP\/1\.1\r\nhost: hello\.mesh\r\n/);
  expect(seen).not.toContain('other');
});

test.each(['GET', 'POST', 'DELETE'])(
  'a %s whose Connection names Content-Length keeps it, so that its body does not become a request',
  async (method) => {
    await ask(
      `${method} http://hello.mesh/ HTTP/1.1`,
      [HOST, 'Connection: close, content-length, host, via', LENGTH],
      SMUGGLED,
    );
    expect(seen.toLowerCase()).toContain(`\r\n${LENGTH.toLowerCase()}\r\n`);
    expect(seen).toMatch(/\r\nhost: hello\.mesh\r\n/);
    expect(seen).toMatch(/\r\nvia: 1\.1 x0\r\n/);
  },
);

test('headers about one connection are not passed on', async () => {
  const about = ['TE: trailers', 'Trailer: x', 'Keep-Alive: 5', 'Proxy-Connection: keep-alive', 'Upgrade: h2c'];
  await ask(GET, [HOST, ...about]);
  expect(seen).toBe('GET / HTTP/1.1\r\nhost: hello.mesh\r\nvia: 1.1 x0\r\nconnection: close\r\n\r\n');
});

test.each<[string, string, string[], string]>([
  ['without a body', GET, [], ''],
  ['with a length', POST, ['Content-Length: 3'], 'abc'],
  ['with chunks', POST, [CHUNKED], CHUNKS],
])('a request %s that announces trailers does not end the program', async (_what, start, headers, body) => {
  expect(await ask(start, [HOST, 'Trailer: x', ...headers], body)).toMatch(/^HTTP\/1\.1 200 /);
  expect(seen.toLowerCase()).not.toContain('trailer');
});

test.each<[string, string]>([
  [
    'an upgrade that nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhi',
  ],
  ['a status of zero', 'HTTP/1.1 000 x\r\nContent-Length: 0\r\n\r\n'],
  ['a status below 100', 'HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n'],
  [
    'a length and chunks',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n',
  ],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!'],
  ['chunks that are compressed', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
  ['huge headers', `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(100_000)}\r\nContent-Length: 2\r\n\r\nok`],
  ['no HTTP', '\0\x01\x02'],
])('a service that answers %s: 502, and its stream ends', async (_what, bytes) => {
  answer = bytes;
  expect(await ask(GET, [HOST])).toMatch(/^HTTP\/1\.1 502 [^]*UPSTREAM_FAILED/);
  await vi.waitFor(() => expect(streams.map((stream) => stream.destroyed)).toEqual([true]));
  expect(counters.get('http.UPSTREAM_FAILED')).toBe(1);
});

test('what a service adds to its answer reaches nobody', async () => {
  answer = `${OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`;
  expect(await ask(GET, [HOST])).not.toContain('evil');
});
