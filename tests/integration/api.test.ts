import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rawAnswer, rawConnection, readRaw } from '../harness/raw-http.ts';
import { startTestControl, type TestControl } from '../fixtures/test-control.ts';

let control: TestControl;
beforeAll(async () => {
  control = await startTestControl();
});
afterAll(async () => control.stop());

function request(line: string, headers: Readonly<Record<string, string>> = {}, body = ''): string {
  const all = {
    host: control.admin,
    connection: 'close',
    authorization: `Bearer ${control.credential}`,
    ...(body === '' ? {} : { 'content-length': `${Buffer.byteLength(body)}`, 'content-type': 'application/json' }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return [`${line} HTTP/1.1`, ...lines, '', body].join('\r\n');
}

describe('what is refused before a route is there has the envelope too', () => {
  const json = 'application/json';
  test.each<readonly [string, () => string, number, string]>([
    ['an unknown path', () => request('GET /api/v1/nothing'), 404, 'NOT_FOUND'],
    ['a name that every object has', () => request('GET /api/v1/constructor'), 404, 'NOT_FOUND'],
    ['another method', () => request('PATCH /api/v1/nodes'), 405, 'METHOD_NOT_ALLOWED'],
    ['a URL that cannot be read', () => request('GET /api/v1/nodes/%ff/peers'), 400, 'REQUEST_INVALID'],
    ['half JSON', () => request('POST /api/v1/tokens', {}, '{"node":'), 400, 'REQUEST_INVALID'],
    ['an empty body', () => request('POST /api/v1/tokens', { 'content-type': json }), 400, 'REQUEST_INVALID'],
    [
      'a key of prototypes',
      () => request('POST /api/v1/tokens', {}, '{"__proto__":{"node":"a"}}'),
      400,
      'REQUEST_INVALID',
    ],
    [
      'a constructor’s prototype',
      () => request('POST /api/v1/tokens', {}, '{"node":"a","constructor":{"prototype":{"relay":true}}}'),
      400,
      'REQUEST_INVALID',
    ],
    [
      'deep JSON',
      () => request('POST /api/v1/tokens', {}, '['.repeat(30_000) + ']'.repeat(30_000)),
      422,
      'INPUT_INVALID',
    ],
    ['an unknown member', () => request('POST /api/v1/tokens', {}, '{"node":"a","more":1}'), 422, 'INPUT_INVALID'],
    [
      'another type',
      () => request('POST /api/v1/tokens', { 'content-type': 'text/xml' }, '{}'),
      415,
      'MEDIA_TYPE_UNSUPPORTED',
    ],
    [
      'a form',
      () => request('POST /api/v1/tokens', { 'content-type': 'application/x-www-form-urlencoded' }, 'a=b'),
      415,
      'MEDIA_TYPE_UNSUPPORTED',
    ],
    ['huge headers', () => request('GET /api/v1/status', { x: 'a'.repeat(70_000) }), 431, 'HTTP_HEADERS_TOO_LARGE'],
    [
      'a huge body',
      () => request('POST /api/v1/tokens', {}, `{"node":"${'a'.repeat(70_000)}"}`),
      413,
      'BODY_TOO_LARGE',
    ],
    ['no HTTP', () => 'hello\r\n\r\n', 400, 'HTTP_MALFORMED'],
    ['another Host', () => request('GET /api/v1/status', { host: 'evil.example' }), 421, 'HOST_FOREIGN'],
    ['a foreign Origin', () => request('GET /openapi.json', { origin: 'http://evil.example' }), 403, 'ORIGIN_FOREIGN'],
    ['no credential', () => request('GET /api/v1/status', { authorization: '' }), 401, 'CREDENTIAL_WRONG'],
    ['a cursor of nothing', () => request('GET /api/v1/nodes?cursor=~~'), 422, 'CURSOR_INVALID'],
    ['no page', () => request('GET /api/v1/nodes?limit=0'), 422, 'INPUT_INVALID'],
    ['a parameter that comes twice', () => request('GET /api/v1/nodes?limit=1&limit=2'), 422, 'INPUT_INVALID'],
  ])('%s', async (_what, text, status, code) => {
    const answer = await rawAnswer(control.admin, text());
    expect(answer.head).toContain('application/json');
    expect(JSON.parse(answer.body)).toMatchObject({ error: { code, traceId: expect.any(String) as string } });
    expect(answer.status).toBe(status);
  });

  test('a refusal of the method says which there are', async () => {
    const { head } = await rawAnswer(control.admin, request('PATCH /api/v1/nodes/oslo'));
    expect(head.toLowerCase()).toContain('allow: delete');
  });
});

describe('a stranger', () => {
  test('sends a body that nobody reads', async () => {
    const bomb = request('POST /api/v1/tokens', { authorization: 'Bearer x', 'content-length': '1000000000' }, '{');
    const { status, body } = await rawAnswer(control.admin, bomb);
    expect([status, body]).toEqual([401, expect.stringContaining('CREDENTIAL_WRONG')]);
  });

  test.each([
    'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJhZG1pbiJ9.',
    'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiIsImF1ZCI6Im90aGVyIn0.c2ln',
    'x0s_admin',
    `x0s_${'0'.repeat(32)}_${'0'.repeat(64)}`,
    `x0k_${'0'.repeat(32)}_${'0'.repeat(64)}`,
    'a'.repeat(600),
  ])('is nobody by the bearer %s', async (bearer) => {
    const { status } = await rawAnswer(
      control.admin,
      request('GET /api/v1/status', { authorization: `Bearer ${bearer}` }),
    );
    expect(status).toBe(401);
  });

  test('waits when it comes too often, and learns how long', async () => {
    const own = await startTestControl({}, { strangers: { burst: 3, perSecond: 0.001 } });
    const ask = async (): Promise<number> =>
      (await own.ask('GET', '/api/v1/status', undefined, { authorization: 'Bearer wrong' })).status;
    expect([await ask(), await ask(), await ask(), await ask()]).toEqual([401, 401, 401, 429]);
    await own.stop();
  });

  test('with a slow request is cut off', async () => {
    const own = await startTestControl({}, { requestMs: 1_500 });
    const socket = rawConnection(own.admin);
    socket.write(`POST /api/v1/tokens HTTP/1.1\r\nHost: ${own.admin}\r\nAuthorization: Bearer ${own.credential}\r\n`);
    socket.write('Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"no');
    const { status, body } = await readRaw(socket);
    expect([status, body]).toEqual([408, expect.stringContaining('HTTP_TIMEOUT')]);
    await own.stop();
  });
});

describe('reads', () => {
  test('carry a tag, and are not sent again to who has it', async () => {
    const first = await rawAnswer(control.admin, request('GET /api/v1/services'));
    const tag = /etag: (.*)\r/i.exec(`${first.head}\r`)?.[1] ?? '';
    expect(tag).toMatch(/^"[\w-]{27}"$/);
    const again = await rawAnswer(control.admin, request('GET /api/v1/services', { 'if-none-match': `"x", W/${tag}` }));
    expect([again.status, again.body]).toEqual([304, '']);
    const other = await rawAnswer(control.admin, request('GET /api/v1/services', { 'if-none-match': '"x"' }));
    expect([other.status, other.body]).toEqual([200, first.body]);
  });

  test('come with headers that keep browsers and caches from doing more', async () => {
    const { head } = await rawAnswer(control.admin, request('GET /api/v1/status'));
    for (const line of [
      'x-content-type-options: nosniff',
      "content-security-policy: default-src 'none'",
      'cache-control: private',
    ])
      expect(head.toLowerCase()).toContain(line);
    expect(head.toLowerCase()).not.toContain('access-control-');
    const { status, head: preflight } = await rawAnswer(
      control.admin,
      request('OPTIONS /api/v1/status', { origin: `http://${control.admin}`, 'access-control-request-method': 'GET' }),
    );
    expect([status, preflight.toLowerCase().includes('access-control-')]).toEqual([405, false]);
  });
});

describe('documents', () => {
  test('the OpenAPI file says of each route who may use it, and what it answers', async () => {
    const { status, body } = await rawAnswer(control.admin, request('GET /openapi.json', { authorization: '' }));
    expect(status).toBe(200);
    const { openapi, paths } = JSON.parse(body) as { openapi: string; paths: Record<string, Record<string, object>> };
    expect(openapi).toBe('3.1.0');
    const operations = Object.values(paths).flatMap((methods) => Object.values(methods));
    expect(operations.length).toBeGreaterThan(15);
    for (const operation of operations) {
      expect(operation).toMatchObject({ 'x-action': expect.any(String) as string, security: expect.any(Array) as [] });
    }
    expect(paths['/api/v1/version']?.['get']).toMatchObject({ security: [] });
  });

  test('the pages of /docs are there, and load nothing from elsewhere', async () => {
    const page = await rawAnswer(control.admin, request('GET /docs/', { authorization: '' }));
    expect(page.status).toBe(200);
    expect(page.body).toContain('swagger-ui');
    expect(page.body).not.toMatch(/(?:src|href)="https?:/);
    expect(page.head).toContain("default-src 'self'");
    const script = await rawAnswer(
      control.admin,
      request('GET /docs/static/swagger-ui-bundle.js', { authorization: '' }),
    );
    expect(script.status).toBe(200);
  });
});

test('a list comes in pages that hold each entry once', async () => {
  const { enrolNode } = await import('#io/control-client/enrolment.ts');
  const names = ['delhi', 'lima', 'oslo', 'paris', 'rome'];
  for (const name of names) await enrolNode({ token: await control.tokenFor(name) });
  const seen: string[] = [];
  let path = '/api/v1/nodes?limit=2';
  for (let page = 0; page < 5; page++) {
    const { body } = await control.ask('GET', path);
    const { nodes, nextCursor } = body as unknown as { nodes: { name: string }[]; nextCursor: string | null };
    seen.push(...nodes.map(({ name }) => name));
    if (nextCursor === null) break;
    path = `/api/v1/nodes?limit=2&cursor=${nextCursor}`;
  }
  expect(seen).toEqual(names);
});
