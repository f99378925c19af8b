import { fastify, type FastifyInstance } from 'fastify';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { Type } from 'typebox';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Counters } from '#kernel/counters.ts';
import { questionSchema } from '#control/contract/nodes.ts';
import { ENVELOPE_OPTIONS, quietLog, statusOf, useErrorEnvelope } from './api-error.ts';

let server: FastifyInstance;
let port: number;

beforeEach(async () => {
  server = fastify({ ...ENVELOPE_OPTIONS, ajv: { customOptions: { coerceTypes: false, removeAdditional: false } } });
  useErrorEnvelope(server, new Counters());
  server.post('/things', { schema: { body: Type.Object({}) } }, async () => ({}));
  server.get('/things/:name', { schema: { querystring: questionSchema } }, async () => ({}));
  await server.listen({ host: '127.0.0.1', port: 0 });
  const address = server.server.address();
  port = typeof address === 'object' && address !== null ? address.port : 0;
});
afterEach(async () => server.close());

async function answerTo(request: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.write(request);
  return await text(socket);
}

const END = 'HTTP/1.1\r\nHost: a\r\nConnection: close\r\n';

test.each([
  ['a name that every object has', `GET /constructor ${END}\r\n`, 404, 'NOT_FOUND'],
  ['a URL that cannot be read', `GET /things/%ff ${END}\r\n`, 400, 'REQUEST_INVALID'],
  ['a parameter that comes twice', `GET /things/a?to=a&to=b ${END}\r\n`, 400, 'REQUEST_INVALID'],
  ['an unknown parameter', `GET /things/a?of=a ${END}\r\n`, 400, 'REQUEST_INVALID'],
  ['text', `POST /things ${END}Content-Type: text/plain\r\nContent-Length: 1\r\n\r\na`, 415, 'MEDIA_TYPE_UNSUPPORTED'],
  ['a form', `POST /things ${END}Content-Type: a/b\r\nContent-Length: 1\r\n\r\na`, 415, 'MEDIA_TYPE_UNSUPPORTED'],
  ['huge headers', `GET / ${END}x: ${'a'.repeat(70_000)}\r\n\r\n`, 431, 'HTTP_HEADERS_TOO_LARGE'],
  ['no HTTP', 'hello\r\n\r\n', 400, 'HTTP_MALFORMED'],
])('%s is refused in the envelope', async (_what, request, status, code) => {
  const [head = '', body = ''] = (await answerTo(request)).split('\r\n\r\n');
  expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(head).toContain('application/json');
  expect(JSON.parse(body)).toEqual({
    error: { code, message: expect.any(String) as string, traceId: expect.any(String) as string },
  });
});

test('a code is no name of an object’s own', () => {
  expect(['constructor', '__proto__', 'toString'].map(statusOf)).toEqual([400, 400, 400]);
});

test('fastify itself says nothing of where it listens, and a log that is off stays off', async () => {
  const lines: string[] = [];
  const sink = { write: (line: string) => void lines.push(line) };
  for (const level of ['info', 'silent']) {
    const quiet = fastify({ loggerInstance: quietLog(pino({ level }, sink)) });
    await quiet.listen({ host: '127.0.0.1', port: 0 });
    quiet.log.error(`an error at ${level}`);
    await quiet.close();
  }
  expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(['an error at info']);
});
