import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CodedError } from '#control/coded-error.ts';
import type { Listener } from '#io/edge-listener/tcp-listener.ts';
import { openNodeAdmin } from './node-admin-server.ts';

const TOKEN = 'the-token';
let admin: Listener;
let asked: [string, Readonly<Record<string, string>>][];

beforeEach(async () => {
  asked = [];
  admin = await openNodeAdmin(
    { host: '127.0.0.1', port: 0 },
    {
      token: TOKEN,
      answer: async (question, args) => {
        asked.push([question, args]);
        if (question === 'broken') throw new Error('a secret of the node');
        if (question === 'path') throw new CodedError('NODE_UNKNOWN', 'name a node');
        return { question };
      },
      metrics: [{ name: 'x0tta6bl4_links', help: 'Links.', type: 'gauge', read: () => [{ value: 2 }] }],
    },
  );
});
afterEach(async () => admin.close());

interface Answer {
  readonly status: number | undefined;
  readonly body: unknown;
}

async function ask(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  const own = { authorization: `Bearer ${TOKEN}` };
  const sent = request({ ...admin.address, path, method, headers: { ...own, ...headers }, agent: false });
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  sent.once('error', reject);
  sent.once('response', (response) => {
    text(response).then((body) => resolve({ status: response.statusCode, body: JSON.parse(body) }), reject);
  });
  sent.end();
  return await promise;
}

function refusal(status: number, code: string): unknown {
  const traceId: unknown = expect.stringMatching(/^[0-9a-f]{32}$/);
  return { status, body: { error: { code, message: expect.any(String) as string, traceId } } };
}

test('a question goes to the node with its arguments', async () => {
  expect(await ask('/api/v1/ping?to=rome')).toEqual({ status: 200, body: { question: 'ping' } });
  expect(asked).toEqual([['ping', { to: 'rome' }]]);
});

describe('who may ask', () => {
  test.each([
    ['no credential', { authorization: '' }],
    ['another credential', { authorization: 'Bearer the-tokem' }],
    ['a part of it', { authorization: 'Bearer the-toke' }],
    ['more than it', { authorization: 'Bearer the-tokens' }],
    ['another scheme', { authorization: `Basic ${TOKEN}` }],
  ])('nobody with %s', async (_what, headers) => {
    expect(await ask('/api/v1/status', headers)).toEqual(refusal(401, 'CREDENTIAL_WRONG'));
    expect(asked).toEqual([]);
  });

  test.each(['evil.example', 'evil.example:80', '127.0.0.1.evil.example'])('nobody by the name %j', async (host) => {
    expect(await ask('/api/v1/status', { host })).toEqual(refusal(421, 'HOST_FOREIGN'));
  });

  test.each(['127.0.0.1', 'localhost:7201', '[::1]:7201'])('one by the address %s', async (host) => {
    expect(await ask('/api/v1/status', { host })).toMatchObject({ status: 200 });
  });

  test.each(['http://evil.example', 'null', 'https://127.0.0.1:7201'])('no page of %s', async (origin) => {
    const headers = { origin, host: '127.0.0.1:7201' };
    expect(await ask('/api/v1/status', headers)).toEqual(refusal(403, 'ORIGIN_FOREIGN'));
  });

  test('a page of its own', async () => {
    const headers = { origin: 'http://127.0.0.1:7201', host: '127.0.0.1:7201' };
    expect(await ask('/api/v1/status', headers)).toMatchObject({ status: 200 });
  });
});

describe('what is refused', () => {
  test.each(['/', '/api', '/api/v2/status', '/status', '/api/v1/../../etc/passwd'])('the path %s', async (path) => {
    expect(await ask(path)).toEqual(refusal(404, 'QUESTION_UNKNOWN'));
    expect(asked).toEqual([]);
  });

  test('a parameter that comes twice, and a URL that cannot be read', async () => {
    expect(await ask('/api/v1/path?to=a&to=b')).toEqual(refusal(400, 'REQUEST_INVALID'));
    expect(await ask('//[/api/v1/status')).toEqual(refusal(400, 'REQUEST_INVALID'));
    expect(asked).toEqual([]);
  });

  test.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s, after the credential', async (method) => {
    expect(await ask('/api/v1/status', {}, method)).toEqual(refusal(405, 'METHOD_NOT_ALLOWED'));
    expect(await ask('/api/v1/status', { authorization: '' }, method)).toEqual(refusal(401, 'CREDENTIAL_WRONG'));
  });

  test('what the node refuses, by its code, and what breaks in it, without its words', async () => {
    expect(await ask('/api/v1/path')).toEqual(refusal(404, 'NODE_UNKNOWN'));
    const broken = await ask('/api/v1/broken');
    expect(broken).toEqual(refusal(500, 'INTERNAL'));
    expect(JSON.stringify(broken)).not.toContain('secret');
  });
});

async function answerTo(bytes: string): Promise<string> {
  const socket = connect({ ...admin.address });
  socket.on('error', () => undefined);
  socket.write(bytes);
  return await text(socket);
}

describe('what is too large', () => {
  const head = `HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\n`;

  test('headers', async () => {
    const answer = await answerTo(`GET /api/v1/status ${head}x: ${'a'.repeat(9_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 .*"HTTP_HEADERS_TOO_LARGE"/s);
  });

  test('a body of any length is neither waited for nor kept', async () => {
    const begun = `content-length: 1000000000\r\n\r\n${'a'.repeat(1_000_000)}`;
    expect(await answerTo(`GET /api/v1/status ${head}${begun}`)).toMatch(/^HTTP\/1\.1 200 /);
    expect(await answerTo(`POST /api/v1/status ${head}${begun}`)).toMatch(/^HTTP\/1\.1 405 /);
  });
});

test('metrics are for the holder of the credential, in Prometheus’ format', async () => {
  const url = `http://127.0.0.1:${admin.address.port}/metrics`;
  expect((await fetch(url)).status).toBe(401);
  const answer = await fetch(url, { headers: { authorization: `Bearer ${TOKEN}` } });
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(await answer.text()).toContain('\nx0tta6bl4_links 2\n');
});
