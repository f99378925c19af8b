import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rawConnection, readRaw } from '../harness/raw-http.ts';
import { until } from '../harness/up.ts';
import { startTestControl, type TestControl } from '../fixtures/test-control.ts';

const PASSWORD = 'correct horse battery';
type Body = Record<string, unknown>;

interface Answer {
  readonly status: number;
  readonly body: Body;
}

interface Person {
  readonly id: string;
  readonly name: string;
  readonly token: string;
}

let control: TestControl;
let from = 0;
let made = 0;

beforeAll(async () => {
  control = await startTestControl();
});
afterAll(async () => control.stop());

/** Each request from another address, unless one is given. */
async function ask(method: string, path: string, token: string, body?: unknown, address?: string): Promise<Answer> {
  from = (from % 250) + 1;
  const headers = { authorization: `Bearer ${token}` };
  return await control.ask(method, `/api/v1${path}`, body, headers, address ?? `127.0.1.${from}`);
}

async function asLocal(method: string, path: string, body?: unknown): Promise<Answer> {
  return await ask(method, path, control.credential, body);
}

function codeOf({ body }: Answer): unknown {
  return (body['error'] as Body | undefined)?.['code'];
}

async function invite(role: string, token = control.credential): Promise<string> {
  return String((await ask('POST', '/users/invitations', token, { role })).body['code']);
}

async function register(code: string): Promise<Answer & { readonly name: string }> {
  const name = `person${++made}`;
  return { name, ...(await ask('POST', '/users/register', '', { code, name, password: PASSWORD })) };
}

async function createPerson(role: string): Promise<Person> {
  const { name, body } = await register(await invite(role));
  return { name, id: String((body['user'] as Body)['id']), token: String(body['token']) };
}

async function login(name: string, password = PASSWORD, address?: string): Promise<Answer> {
  return await ask('POST', '/users/login', '', { name, password }, address);
}

/** Sends a request whose body waits until `meanwhile` is done. */
async function askSlowly(
  path: string,
  token: string,
  body: object,
  meanwhile: () => Promise<unknown>,
): Promise<Answer> {
  const text = JSON.stringify(body);
  const head = [`POST /api/v1${path} HTTP/1.1`, `Host: ${control.admin}`, `Authorization: Bearer ${token}`];
  const form = ['Content-Type: application/json', `Content-Length: ${text.length}`, 'Connection: close'];
  const socket = rawConnection(control.admin);
  socket.write(`${[...head, ...form].join('\r\n')}\r\n\r\n${text.slice(0, 1)}`);
  await pause(200);
  await meanwhile();
  socket.write(text.slice(1));
  const answer = await readRaw(socket);
  return { status: answer.status, body: JSON.parse(answer.body) as Body };
}

/** How long a login with a wrong password takes. */
async function timeOf(name: string): Promise<number> {
  const startMs = performance.now();
  expect((await login(name, 'a wrong password')).status).toBe(401);
  return performance.now() - startMs;
}

async function create(token: string): Promise<Answer> {
  const headers = { authorization: `Bearer ${token}`, 'idempotency-key': 'shared' };
  return await control.ask('POST', '/api/v1/tokens', { node: 'rome' }, headers);
}

interface AuditPage {
  readonly entries: readonly { readonly body: Body }[];
  readonly nextCursor: string | null;
}

async function entries(): Promise<readonly { readonly body: Body }[]> {
  const all: { readonly body: Body }[] = [];
  for (let cursor = ''; ; ) {
    const page = (await asLocal('GET', `/audit?limit=200${cursor}`)).body as unknown as AuditPage;
    all.push(...page.entries);
    if (page.nextCursor === null) return all;
    cursor = `&cursor=${page.nextCursor}`;
  }
}

/** Refusals that these entries tell of. */
function sum(all: readonly Body[]): number {
  return all.reduce((total, body) => total + Number((body['detail'] as Body)['count'] ?? 1), 0);
}

describe('while a request runs', () => {
  test('a user who is disabled does nothing more, and one who is less than before no more than that', async () => {
    const [anna, bert] = [await createPerson('operator'), await createPerson('operator')];
    const token = { node: 'oslo' };
    const disable = async (): Promise<Answer> => asLocal('PATCH', `/users/${anna.id}`, { disabled: true });
    expect(codeOf(await askSlowly('/tokens', anna.token, token, disable))).toBe('CREDENTIAL_WRONG');
    const demote = async (): Promise<Answer> => asLocal('PATCH', `/users/${bert.id}`, { role: 'viewer' });
    expect(codeOf(await askSlowly('/tokens', bert.token, token, demote))).toBe('ACTION_DENIED');
  });

  test('a key that is revoked and a session that is ended count no more', async () => {
    const cleo = await createPerson('operator');
    const { body } = await ask('POST', '/api-keys', cleo.token, { name: 'k' });
    const id = String((body['apiKey'] as Body)['id']);
    const revoke = async (): Promise<Answer> => ask('DELETE', `/api-keys/${id}`, cleo.token);
    expect(codeOf(await askSlowly('/tokens', String(body['token']), { node: 'oslo' }, revoke))).toBe(
      'CREDENTIAL_WRONG',
    );
    const end = async (): Promise<Answer> => ask('POST', '/users/logout', cleo.token);
    expect(codeOf(await askSlowly('/tokens', cleo.token, { node: 'oslo' }, end))).toBe('CREDENTIAL_WRONG');
  });

  test('no login by the old password outlives its change', async () => {
    const dora = await createPerson('viewer');
    const change = { oldPassword: PASSWORD, newPassword: 'another horse battery' };
    const logins = Array.from({ length: 12 }, async () => login(dora.name));
    const changed = await ask('POST', '/users/password', dora.token, change);
    const later = Array.from({ length: 4 }, async () => login(dora.name));
    expect(changed.status).toBe(200);
    const opened = (await Promise.all([...logins, ...later])).filter(({ status }) => status === 200);
    for (const { body } of opened) expect((await ask('GET', '/users/me', String(body['token']))).status).toBe(401);
    expect((await ask('GET', '/users/me', String(changed.body['token']))).status).toBe(200);
  });
});

describe('a right that was handed on', () => {
  test('is at most one’s own: keys, invitations, roles and the first admin’s code', async () => {
    const operator = await createPerson('operator');
    const admin = await createPerson('admin');
    const narrow = await ask('POST', '/api-keys', admin.token, {
      name: 'people',
      actions: ['users:change', 'users:invite', 'api-keys:create', 'users:read'],
    });
    const key = String(narrow.body['token']);
    const fallen = await createPerson('admin');
    await asLocal('PATCH', `/users/${fallen.id}`, { disabled: true });
    for (const [token, method, path, body, code] of [
      [operator.token, 'POST', '/api-keys', { name: 'k', role: 'admin' }, 'RIGHTS_EXCEEDED'],
      [operator.token, 'POST', '/users/invitations', { role: 'admin' }, 'ACTION_DENIED'],
      [operator.token, 'POST', '/users/first-code', undefined, 'ACTION_DENIED'],
      [operator.token, 'PATCH', `/users/${operator.id}`, { role: 'admin' }, 'ACTION_DENIED'],
      [key, 'POST', '/users/invitations', { role: 'admin' }, 'RIGHTS_EXCEEDED'],
      [key, 'POST', '/users/invitations', { role: 'viewer' }, 'RIGHTS_EXCEEDED'],
      [key, 'PATCH', `/users/${operator.id}`, { role: 'admin' }, 'RIGHTS_EXCEEDED'],
      [key, 'PATCH', `/users/${fallen.id}`, { disabled: false }, 'RIGHTS_EXCEEDED'],
      [key, 'POST', '/users/first-code', undefined, 'RIGHTS_EXCEEDED'],
      [key, 'POST', '/api-keys', { name: 'k' }, 'RIGHTS_EXCEEDED'],
    ] as const) {
      const line = `${method} ${path} ${JSON.stringify(body)}`;
      expect([line, codeOf(await ask(method, path, token, body))]).toEqual([line, code]);
    }
    expect((await login(fallen.name)).status).toBe(401);
  });

  test('ends with the rights of who gave it: invitations and keys of an admin who is none any more', async () => {
    const [eve, other] = [await createPerson('admin'), await createPerson('admin')];
    const codes = [await invite('admin', eve.token), await invite('viewer', eve.token)];
    const key = String((await ask('POST', '/api-keys', eve.token, { name: 'later' })).body['token']);
    await ask('PATCH', `/users/${eve.id}`, other.token, { role: 'viewer' });
    for (const code of codes) expect(codeOf(await register(code))).toBe('CODE_WRONG');
    expect(codeOf(await ask('POST', '/users/invitations', key, { role: 'admin' }))).toBe('ACTION_DENIED');
    await ask('PATCH', `/users/${eve.id}`, other.token, { disabled: true });
    expect((await ask('GET', '/users/me', key)).status).toBe(401);
  });

  test('an Idempotency-Key of another user answers nothing of that user', async () => {
    const [gus, hana] = [await createPerson('operator'), await createPerson('operator')];
    const [first, again, other] = [await create(gus.token), await create(gus.token), await create(hana.token)];
    expect(again.body).toEqual(first.body);
    expect([other.status, other.body['id'] === first.body['id']]).toEqual([201, false]);
    expect(codeOf(await create('x0s_'))).toBe('CREDENTIAL_WRONG');
    await asLocal('PATCH', `/users/${gus.id}`, { role: 'viewer' });
    expect(codeOf(await create(gus.token))).toBe('ACTION_DENIED');
  });
});

describe('a stranger', () => {
  test('locks no user out of another address, and nobody who is known out of its own', async () => {
    const ivo = await createPerson('viewer');
    for (let time = 0; time < 6; time++) await login(ivo.name, 'a wrong password', '127.0.2.1');
    expect((await login(ivo.name, PASSWORD, '127.0.2.1')).status).toBe(429);
    const opened = await login(ivo.name, PASSWORD, '127.0.2.2');
    expect(opened.status).toBe(200);
    const token = String(opened.body['token']);
    expect((await ask('GET', '/users/me', token, undefined, '127.0.2.2')).status).toBe(200);
  });

  test('that shares an address with who is known keeps nobody of them out', async () => {
    const own = await startTestControl({}, { strangers: { burst: 5, perSecond: 0.001 } });
    const get = async (token: string): Promise<number> =>
      (await own.ask('GET', '/api/v1/users/me', undefined, { authorization: `Bearer ${token}` })).status;
    const { code } = (await own.ask('POST', '/api/v1/users/first-code')).body as Body;
    const root = { code, name: 'root', password: PASSWORD };
    const token = String((await own.ask('POST', '/api/v1/users/register', root)).body['token']);
    expect(await get(token)).toBe(200);
    const guesses: number[] = [];
    for (let time = 0; time < 6; time++) guesses.push(await get(`x0s_${'0'.repeat(32)}_${'0'.repeat(64)}`));
    expect(guesses).toEqual([401, 401, 401, 401, 429, 429]);
    expect([await get(token), await get(own.credential), await get('another guess')]).toEqual([200, 200, 429]);
    await own.stop();
  });

  test('with as many connections as it can open keeps nobody else’s out', async () => {
    const address = control.admin;
    const held = Array.from({ length: 700 }, () => rawConnection(address));
    for (const socket of held) socket.write(`GET /api/v1/status HTTP/1.1\r\nHost: ${address}\r\n`);
    await until(
      () => held.filter((socket) => socket.destroyed || socket.closed).length,
      (count) => count >= 500,
      5_000,
    );
    expect((await asLocal('GET', '/status')).status).toBe(200);
    expect((await ask('GET', '/status', control.credential, undefined, '127.0.0.1')).status).toBe(200);
    for (const socket of held) socket.destroy();
  });

  test('with large bodies, many at once and never finished, takes no more memory than they are', async () => {
    const address = control.admin;
    const before = process.memoryUsage().rss;
    const body = `{"name":"anna","password":"${'a'.repeat(60_000)}`;
    const head = `Host: ${address}\r\nContent-Type: application/json\r\nContent-Length: 65000\r\n\r\n`;
    const held = Array.from({ length: 100 }, () => rawConnection(address));
    for (const socket of held) socket.write(`POST /api/v1/users/login HTTP/1.1\r\n${head}${body}`);
    expect((await asLocal('GET', '/status')).status).toBe(200);
    await pause(300);
    expect((await asLocal('GET', '/status')).status).toBe(200);
    // Both ends are in this process: 100 bodies of 60 kB, twice, and what surrounds them.
    expect(process.memoryUsage().rss - before).toBeLessThan(96 * 1024 * 1024);
    for (const socket of held) socket.destroy();
  });

  test('learns nothing of who there is from how long a refusal takes', { timeout: 60_000 }, async () => {
    const jo = await createPerson('viewer');
    const pairs: [number, number][] = [];
    for (let pair = 0; pair < 25; pair++) {
      const other = `nobody${pair}`;
      const known = async (): Promise<number> => timeOf(jo.name);
      const unknown = async (): Promise<number> => timeOf(other);
      pairs.push(
        pair % 2 === 0
          ? [await known(), await unknown()]
          : ([...([await unknown(), await known()] as const)].reverse() as [number, number]),
      );
    }
    const differences = pairs.map(([known, unknown]) => known - unknown).toSorted((a, b) => a - b);
    const slower = differences.filter((each) => each > 0).length;
    const median = differences[12] ?? Number.NaN;
    process.stderr.write(`known minus unknown user: median ${median.toFixed(2)} ms, slower in ${slower} of 25 pairs\n`);
    // By chance alone it is outside of this once in 6,000 times, however busy the machine is.
    expect([slower > 3, slower < 22]).toEqual([true, true]);
  });
});

describe('the audit log', () => {
  test('of who is refused five hundred times holds few entries, which count them all', {
    timeout: 30_000,
  }, async () => {
    const kim = await createPerson('viewer');
    for (let round = 0; round < 10; round++)
      await Promise.all(Array.from({ length: 50 }, async () => ask('POST', '/nodes/oslo/revoke', kim.token)));
    const own = async (): Promise<readonly Record<string, unknown>[]> =>
      (await entries()).map(({ body }) => body).filter((body) => body['actor'] === `user:${kim.id}`);
    const all = await until(own, (found) => sum(found) >= 500, 15_000);
    expect([sum(all), all.length < 60]).toEqual([500, true]);
  });

  test('holds no secret that somebody pasted where an id belongs', async () => {
    const lea = await createPerson('viewer');
    const key = String((await ask('POST', '/api-keys', lea.token, { name: 'k' })).body['token']);
    const join = await control.tokenFor('lima');
    for (const secret of [lea.token, key, await invite('viewer'), join]) {
      const id = encodeURIComponent(secret.slice(0, 290));
      for (const path of [`/api-keys/${id}`, `/users/${id}/sessions`, `/nodes/${id}`])
        await ask('DELETE', path, lea.token);
      const text = JSON.stringify(await entries());
      expect(text).not.toContain(secret.slice(20, 290));
    }
  });

  test('lets nobody write lines of it, nor move a terminal that shows it', async () => {
    const names = ['a\nb', '\u001b[31mred', 'x\u202edcba', '\u0000', '\ud800', 'a\r\nX: y'];
    const mia = await createPerson('viewer');
    for (const name of names) {
      const id = encodeURIComponent(name.toWellFormed());
      for (const [method, path] of [
        ['DELETE', `/nodes/${id}`],
        ['POST', `/nodes/${id}/revoke`],
        ['DELETE', `/api-keys/${id}`],
        ['PUT', `/policies/${id}`],
      ] as const)
        expect((await ask(method, path, mia.token, {})).status).toBeLessThan(500);
      for (const body of [
        { name, password: name },
        { email: name, password: PASSWORD },
      ])
        expect((await ask('POST', '/users/login', '', body)).status).toBeLessThan(500);
      expect((await asLocal('POST', '/api-keys', { name, ttlSeconds: 60 })).status).toBeLessThan(500);
      expect((await asLocal('POST', '/tokens', { node: name, labels: { [name]: name } })).status).toBe(422);
    }
    expect((await entries()).length).toBeGreaterThan(10);
  });
});

test('a body that cannot be read is not repeated in the answer', async () => {
  const address = control.admin;
  const text = '{"name":"anna","password":"canary-4711" nonsense';
  const socket = rawConnection(address);
  socket.write(
    `POST /api/v1/users/login HTTP/1.1\r\nHost: ${address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
  );
  const { status, body } = await readRaw(socket);
  expect([status, body.includes('canary')]).toEqual([400, false]);
});
