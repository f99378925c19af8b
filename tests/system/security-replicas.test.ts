import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PostgresServer } from '../harness/postgres-server.ts';
import { RedisServer } from '../harness/redis.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';
import { until } from '../harness/up.ts';
import { CLONE, X0Process } from '../harness/x0-process.ts';

const PASSWORD = 'correct horse canary battery';
const LISTENERS = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];

interface Answer {
  readonly status: number;
  readonly text: string;
  // The tests read what they expect of it.
  readonly body: Record<string, never>;
}

interface Replica {
  readonly process: X0Process;
  readonly admin: string;
  readonly credential: string;
}

describe.skipIf(SYSTEM_MISSING !== undefined)('two control planes on one PostgreSQL and one Redis, attacked', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'x0-attacked-'));
  let postgres: PostgresServer;
  let redis: RedisServer;
  let one: Replica;
  let two: Replica;
  const secrets = new Set<string>();

  beforeAll(async () => {
    [postgres, redis] = await Promise.all([PostgresServer.start(), RedisServer.start()]);
    for (const url of [postgres.url, redis.url]) secrets.add(new URL(url).password);
    one = await start('one');
    mkdirSync(join(scratch, 'two'), { mode: 0o700 });
    for (const file of ['root.key', 'root.crt']) copyFileSync(join(scratch, 'one', file), join(scratch, 'two', file));
    two = await start('two');
  });

  afterAll(async () => {
    await Promise.all([one, two].map(async ({ process: each }) => each.end('SIGKILL')));
    await Promise.all([postgres.stop(), redis.stop()]);
    rmSync(scratch, { recursive: true });
  });

  async function start(name: string): Promise<Replica> {
    const environment = { DATABASE_URL: postgres.url, REDIS_URL: redis.url };
    const started = new X0Process(CLONE, ['control', '--data-dir', join(scratch, name), ...LISTENERS], environment);
    await started.says(/the control plane is ready/);
    const read = (file: string): string => readFileSync(join(scratch, name, file), 'utf8').trim();
    const credential = read('admin.token');
    secrets.add(credential);
    const { admin } = JSON.parse(read('control.json')) as { admin: string };
    return { process: started, admin, credential };
  }

  async function ask(at: Replica, method: string, path: string, token: string, body?: unknown): Promise<Answer> {
    const headers = {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    const content = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(`http://${at.admin}${path.startsWith('/api') ? path : `/api/v1${path}`}`, {
      method,
      headers,
      ...content,
      signal: AbortSignal.timeout(15_000),
    });
    const text = await answer.text();
    const isJson = answer.headers.get('content-type')?.includes('json') === true;
    return { status: answer.status, text, body: (isJson ? JSON.parse(text) : {}) as Answer['body'] };
  }

  async function createPerson(name: string, role: string): Promise<{ readonly id: string; readonly token: string }> {
    const { body } = await ask(one, 'POST', '/users/invitations', one.credential, { role });
    const code = String(body['code']);
    secrets.add(code);
    const made = await ask(one, 'POST', '/users/register', '', { code, name, password: PASSWORD });
    const token = String(made.body['token']);
    secrets.add(token);
    return { id: (made.body['user'] as unknown as { id: string }).id, token };
  }

  async function login(at: Replica, name: string, password = PASSWORD): Promise<Answer> {
    const answer = await ask(at, 'POST', '/users/login', '', { name, password });
    if (answer.status === 200) secrets.add(String(answer.body['token']));
    return answer;
  }

  async function isOpen(at: Replica, token: string): Promise<boolean> {
    return (await ask(at, 'GET', '/users/me', token)).status === 200;
  }

  /** Keeps a session in use at the other one, ends it here, and says how long it went on there. */
  async function msHonoured(token: string): Promise<number> {
    for (let time = 0; time < 5; time++) expect(await isOpen(two, token)).toBe(true);
    expect((await ask(one, 'POST', '/users/logout', token)).status).toBe(204);
    const endedMs = performance.now();
    let lastMs = 0;
    while (performance.now() - endedMs < 2_000) {
      const askedMs = performance.now() - endedMs;
      if (await isOpen(two, token)) lastMs = askedMs;
      await pause(10);
    }
    return lastMs;
  }

  test('a session that ends at one ends at the other, at once with Redis, within a second without it or while it hangs', {
    timeout: 60_000,
  }, async () => {
    const { id } = await createPerson('anna', 'operator');
    const open = async (): Promise<string> => String((await login(one, 'anna')).body['token']);
    const figures = [await msHonoured(await open())];
    expect(figures[0]).toBeLessThan(200);
    redis.freeze(true);
    figures.push(await msHonoured(await open()));
    redis.freeze(false);
    await redis.stop();
    figures.push(await msHonoured(await open()));
    const last = await open();
    expect(await isOpen(two, last)).toBe(true);
    await ask(one, 'PATCH', `/users/${id}`, one.credential, { disabled: true });
    await pause(1_000);
    expect(await isOpen(two, last)).toBe(false);
    await redis.resume();
    process.stderr.write(
      `a session that was ended elsewhere went on for ${figures.map((ms) => ms.toFixed(0)).join(', ')} ms: Redis up, hung, stopped\n`,
    );
    for (const figure of figures) expect(figure).toBeLessThan(1_000);
  });

  test('failures at one count at the other', async () => {
    await createPerson('bert', 'viewer');
    const answer = await until(
      async () => {
        for (let time = 0; time < 5; time++) await login(one, 'bert', 'a wrong password');
        return await login(two, 'bert');
      },
      ({ status }) => status === 429,
      15_000,
    );
    expect(answer.body).toMatchObject({ error: { code: 'LOGIN_TOO_OFTEN' } });
  });

  test('no text that a name can be makes either answer 500', { timeout: 60_000 }, async () => {
    const { token } = await createPerson('cleo', 'operator');
    const names = [
      '\u0000',
      'a\u0000b',
      '\ud800',
      '\u001b[2J',
      'a\nb',
      '\u202e',
      '😀'.repeat(60),
      "'; DROP TABLE users; --",
      '%',
      '_',
    ];
    for (const name of names) {
      const id = encodeURIComponent(name.toWellFormed());
      const asked: [string, string, string, unknown][] = [
        ['POST', '/users/login', '', { name, password: name }],
        ['POST', '/users/register', '', { code: name, name, password: `${name}${PASSWORD}` }],
        ['POST', '/api-keys', token, { name, ttlSeconds: 60 }],
        ['POST', '/tokens', token, { node: name }],
        ['PUT', `/services/${id}/instances/${id}`, token, { host: name, port: 1 }],
        ['PUT', `/nodes/${id}/forwards/${id}`, token, { host: name, port: 1 }],
        ['PUT', `/policies/${id}`, one.credential, { text: name }],
        [
          'PUT',
          '/policies/odd',
          one.credential,
          { text: `// ${name}\npermit(principal == X0::Node::"${name}", action, resource);` },
        ],
        [
          'POST',
          '/policy-tests',
          token,
          { name, text: name, expectations: [{ caller: name, service: name, allowed: true }] },
        ],
        ['POST', '/policy-dry-runs', token, { name, text: name }],
        ['GET', `/decisions?caller=${id}&service=${id}`, token, undefined],
        ...['/users/', '/api-keys/', '/nodes/', '/policies/', '/decisions/', '/users/invitations/'].map(
          (path): [string, string, string, unknown] => ['GET', `${path}${id}`, one.credential, undefined],
        ),
        ...['/api-keys/', '/nodes/', '/policies/', '/users/invitations/'].map(
          (path): [string, string, string, unknown] => ['DELETE', `${path}${id}`, one.credential, undefined],
        ),
        ['DELETE', `/users/${id}/sessions`, one.credential, undefined],
        ['PATCH', `/users/${id}`, one.credential, { role: 'viewer' }],
        ['GET', `/nodes/${id}/certificates/${id}`, token, undefined],
        ...['/users', '/api-keys', '/nodes', '/policies', '/services', '/audit', '/users/invitations'].map(
          (path): [string, string, string, unknown] => [
            'GET',
            `${path}?cursor=${Buffer.from(`1${name}`).toString('base64url')}`,
            one.credential,
            undefined,
          ],
        ),
      ];
      for (const [method, path, credential, body] of asked) {
        const { status, text } = await ask(
          two,
          method,
          path,
          credential === one.credential ? two.credential : credential,
          body,
        );
        expect([method, path, JSON.stringify(name), status >= 500 ? text : 'fine']).toEqual([
          method,
          path,
          JSON.stringify(name),
          'fine',
        ]);
      }
    }
  });

  test('with the database stopped or hung nobody is let in by what is remembered, and all is well afterwards', {
    timeout: 90_000,
  }, async () => {
    const { token } = await createPerson('dora', 'viewer');
    expect(await isOpen(two, token)).toBe(true);
    postgres.freeze(true);
    await pause(1_100);
    const hung = await ask(two, 'GET', '/users/me', token);
    const guess = await login(two, 'dora');
    postgres.freeze(false);
    expect([hung.status, guess.status]).toEqual([503, 503]);
    await until(
      async () => isOpen(two, token),
      (found) => found,
      15_000,
    );
    await postgres.crash();
    await pause(1_100);
    expect((await ask(two, 'GET', '/users/me', token)).status).toBe(503);
    expect((await ask(two, 'POST', '/users/invitations', two.credential, { role: 'admin' })).status).toBe(503);
    await postgres.resume();
    await until(
      async () => isOpen(two, token),
      (found) => found,
      15_000,
    );
  });

  test('no secret is in a log, an audit entry, an error, a metric, a snapshot or a document', {
    timeout: 60_000,
  }, async () => {
    const { token } = await createPerson('eve', 'operator');
    const key = String((await ask(one, 'POST', '/api-keys', token, { name: 'k' })).body['token']);
    const join = String((await ask(one, 'POST', '/tokens', token, { node: 'oslo' })).body['token']);
    const first = String((await ask(one, 'POST', '/users/first-code', one.credential)).body['code']);
    for (const secret of [key, join, first, PASSWORD]) secrets.add(secret);
    const said = [];
    for (const at of [one, two]) {
      for (const path of [
        '/status',
        '/nodes',
        '/users',
        '/api-keys',
        '/users/invitations',
        '/services',
        '/policies',
        '/users/stats',
        '/audit',
        '/audit/checkpoints',
      ])
        said.push((await ask(at, 'GET', path, at.credential)).text);
      for (let path = '/audit'; ; ) {
        const { text, body } = await ask(at, 'GET', path, at.credential);
        said.push(text);
        if (body['nextCursor'] === null) break;
        path = `/audit?cursor=${String(body['nextCursor'])}`;
      }
      for (const path of ['/metrics', '/openapi.json']) {
        const headers = { authorization: `Bearer ${at.credential}` };
        said.push(await (await fetch(`http://${at.admin}${path}`, { headers })).text());
      }
      // What somebody sends where it does not belong.
      for (const secret of [...secrets].filter((each) => each.startsWith('x0'))) {
        const body = { name: 'x', role: secret, password: secret };
        await ask(at, 'POST', '/api-keys', token, body);
        await ask(at, 'GET', `/nodes/${encodeURIComponent(secret.slice(0, 200))}/peers`, token);
        await ask(at, 'DELETE', `/nodes/${encodeURIComponent(secret.slice(0, 200))}`, token);
      }
      said.push(at.process.output);
    }
    said.push((await ask(one, 'GET', '/audit', one.credential)).text);
    const all = said.join('\n');
    expect(all).toContain('tokens:create');
    for (const secret of secrets)
      expect(all.includes(secret.slice(24, 200) || secret) ? secret.slice(0, 8) : 'kept').toBe('kept');
  });
});
