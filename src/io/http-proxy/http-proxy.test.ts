import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Counters } from '#kernel/counters.ts';
import type { Listener } from '../edge-listener/tcp-listener.ts';
import { FakeOpener } from '../stream-splice/fake-opener.ts';
import { openHttpProxy } from './http-proxy.ts';

let backend: Server;
/** Sends back what it gets, as it gets it. */
let talker: Server;
let proxy: Listener;
let counters: Counters;

beforeEach(async () => {
  counters = new Counters();
  backend = createServer((incoming, response) => {
    void text(incoming).then((body) => {
      response.setHeader('x-seen', JSON.stringify({ ...incoming.headers, method: incoming.method, url: incoming.url }));
      response.end(`got ${body}`);
    });
  });
  talker = createServer((incoming, response) => {
    response.flushHeaders();
    incoming.pipe(response);
  });
  const opener = new FakeOpener({
    hello: (far) => backend.emit('connection', far),
    echo: (far) => far.pipe(far),
    dead: (far) => far.destroy(),
    // It reads the headers and no more.
    full: (far) => {
      far.once('data', () => {
        far.pause();
        far.write('HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno!');
      });
    },
    bytes: (far) => {
      far.once('data', (chunk: Buffer) => {
        const [, seen = ''] = /x-b: (.*)\r\n/.exec(chunk.toString('latin1')) ?? [];
        far.end(Buffer.from(`HTTP/1.1 200 OK\r\nx-a: ${seen}\r\ncontent-length: 0\r\n\r\n`, 'latin1'));
      });
    },
    talk: (far) => talker.emit('connection', far),
    denied: 'TARGET_NOT_ALLOWED',
    lost: 'NO_PATH',
    refused: 'TARGET_REFUSED',
    slow: 'TARGET_TIMEOUT',
  });
  proxy = await openHttpProxy({ host: '127.0.0.1', port: 0 }, { opener, counters, headersTimeoutMs: 200 });
});

afterEach(async () => {
  await proxy.close();
  backend.close();
  talker.close();
});

/** Sends `bytes` and returns all that the proxy says until it closes. */
async function answerTo(bytes: string | Uint8Array): Promise<string> {
  const socket: Socket = connect({ ...proxy.address, allowHalfOpen: true });
  socket.write(bytes);
  const answer = await text(socket);
  socket.destroy();
  return answer;
}

function ask(
  options: { path: string; method?: string; headers?: Record<string, string> },
  body = '',
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked = request({ ...proxy.address, agent: false, ...options }, resolve);
    asked.once('error', reject);
    asked.end(body);
  });
}

async function openTunnel(authority: string): Promise<Duplex> {
  const asked = request({ ...proxy.address, method: 'CONNECT', path: authority, agent: false });
  asked.end();
  const [, socket] = (await once(asked, 'connect')) as [IncomingMessage, Duplex];
  return socket;
}

describe('CONNECT', () => {
  test('carries bytes both ways until both ends close', async () => {
    const tunnel = await openTunnel('echo.mesh:443');
    tunnel.end('hello');
    expect(await text(tunnel)).toBe('hello');
  });

  test('hands on what came right behind the request', async () => {
    const socket = connect({ ...proxy.address, allowHalfOpen: true });
    socket.end('CONNECT echo.mesh:80 HTTP/1.1\r\nHost: echo.mesh:80\r\n\r\nearly');
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 [^\r]*\r\n\r\nearly$/);
  });

  test.each([
    ['nobody.mesh:80', 404, 'SERVICE_UNKNOWN'],
    ['example.org:443', 403, 'ADDRESS_NOT_MESH'],
    ['127.0.0.1:22', 403, 'ADDRESS_NOT_MESH'],
    ['[::1]:22', 403, 'ADDRESS_NOT_MESH'],
    ['denied.mesh:80', 403, 'TARGET_NOT_ALLOWED'],
    ['hello.mesh', 400, 'PROXY_FORM'],
    ['hello.mesh:', 400, 'PROXY_FORM'],
    ['hello.mesh:0', 400, 'PROXY_FORM'],
    ['hello.mesh:99999', 400, 'PROXY_FORM'],
    ['lost.mesh:80', 503, 'NO_PATH'],
    ['refused.mesh:80', 502, 'TARGET_REFUSED'],
    ['slow.mesh:80', 504, 'TARGET_TIMEOUT'],
    [`${'a'.repeat(300)}.mesh:80`, 404, 'SERVICE_UNKNOWN'],
  ])('to %s is answered by %i', async (authority, status, code) => {
    const answer = await answerTo(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ error: { code } });
    expect(counters.get(`http.${code}`)).toBe(1);
  });
});

describe('a request in absolute form', () => {
  test('reaches the service with its method, path, body and headers, and none of the connection’s own', async () => {
    const headers = {
      connection: 'close, x-private',
      'x-private': '1',
      'proxy-authorization': 'Basic x',
      'x-kept': '2',
    };
    const answer = await ask({ path: 'http://hello.mesh:81/a/b?c=d', method: 'POST', headers }, 'a body');
    expect(await text(answer)).toBe('got a body');
    const seen = JSON.parse(String(answer.headers['x-seen'])) as Record<string, string>;
    expect(seen).toMatchObject({
      method: 'POST',
      url: '/a/b?c=d',
      host: 'hello.mesh:81',
      'x-kept': '2',
      via: '1.1 x0',
    });
    expect(Object.keys(seen)).not.toContain('x-private');
    expect(Object.keys(seen)).not.toContain('proxy-authorization');
  });

  test.each([
    ['http://nobody.mesh/', 404, 'SERVICE_UNKNOWN'],
    ['http://example.org/', 403, 'ADDRESS_NOT_MESH'],
    ['http://127.0.0.1:8000/', 403, 'ADDRESS_NOT_MESH'],
    ['http://2130706433/', 403, 'ADDRESS_NOT_MESH'],
    ['http://lost.mesh/', 503, 'NO_PATH'],
    ['/', 400, 'PROXY_FORM'],
    ['ftp://hello.mesh/', 400, 'PROXY_FORM'],
    ['http://dead.mesh/', 502, 'UPSTREAM_FAILED'],
  ])('for %s is answered by %i', async (path, status, code) => {
    const answer = await ask({ path });
    expect(answer.statusCode).toBe(status);
    expect(JSON.parse(await text(answer))).toMatchObject({ error: { code } });
  });

  test.each(['POST', 'GET'])('of %s and its answer keep the bytes of headers that are no ASCII', async (method) => {
    const request = `${method} http://bytes.mesh/ HTTP/1.1\r\nhost: bytes.mesh\r\nx-b: caf\u00e9\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`;
    const socket: Socket = connect({ ...proxy.address, allowHalfOpen: true });
    socket.end(Buffer.from(request, 'latin1'));
    const answer = await buffer(socket);
    expect(answer.toString('latin1')).toContain('x-a: caf\u00e9\r\n');
  });

  test('is answered though its body is still coming and nobody reads it', async () => {
    const asked = request({ ...proxy.address, agent: false, path: 'http://full.mesh/', method: 'POST' });
    asked.on('error', () => undefined);
    const answered = once(asked, 'response');
    asked.write(new Uint8Array(4 * 1024 * 1024));
    const [answer] = (await answered) as [IncomingMessage];
    expect(answer.statusCode).toBe(413);
    expect(answer.headers.connection).toBe('close');
    expect(await text(answer)).toBe('no!');
    asked.destroy();
  });

  test('and its answer go on at the same time', async () => {
    const asked = request({ ...proxy.address, agent: false, path: 'http://talk.mesh/', method: 'POST' });
    asked.flushHeaders();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    for (const word of ['one', 'two']) {
      asked.write(word);
      const [said] = (await once(answer, 'data')) as [Buffer];
      expect(said.toString()).toBe(word);
    }
    asked.end('three');
    expect(await text(answer)).toBe('three');
  });

  test('is not forwarded when it is a TRACE', async () => {
    const answer = await ask({ path: 'http://hello.mesh/', method: 'TRACE' });
    expect([answer.statusCode, answer.headers['x-seen']]).toEqual([405, undefined]);
    expect(JSON.parse(await text(answer))).toMatchObject({ error: { code: 'METHOD_NOT_ALLOWED' } });
  });

  test('that came through an x0 proxy already is a loop', async () => {
    const answer = await ask({ path: 'http://hello.mesh/', headers: { via: '1.1 x0' } });
    expect(answer.statusCode).toBe(508);
  });
});

describe('bad input', () => {
  test.each([
    ['garbage', '\x16\x03\x01\x02\x00garbage\r\n\r\n', /^HTTP\/1\.1 400 /],
    [
      'a header with a bare line feed in its name',
      'GET http://hello.mesh/ HTTP/1.1\r\na\nb: c\r\n\r\n',
      /^HTTP\/1\.1 400 /,
    ],
    [
      'both lengths',
      'POST http://hello.mesh/ HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n',
      /^HTTP\/1\.1 400 /,
    ],
    ['huge headers', `GET http://hello.mesh/ HTTP/1.1\r\nx: ${'a'.repeat(70_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
    ['a request that drips', 'GET http://hello.mesh/ HT', /^HTTP\/1\.1 408 /],
  ])('%s is refused and the proxy serves as before', async (_what, bytes, expected) => {
    expect(await answerTo(bytes)).toMatch(expected);
    expect(await text(await ask({ path: 'http://hello.mesh/', method: 'PUT' }, 'x'))).toBe('got x');
  });

  test('a line break smuggled into the authority stays out of the answer’s headers', async () => {
    const answer = await answerTo('CONNECT x%0d%0aset-cookie:a=b:80 HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(answer.split('\r\n\r\n')[0]).not.toContain('set-cookie');
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
  });
});
