import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { startTestControl, type TestControl } from '../fixtures/test-control.ts';

const PASSWORD = 'correct horse battery';

let control: TestControl;
beforeAll(async () => {
  control = await startTestControl();
});
afterAll(async () => control.stop());

type Body = Record<string, unknown>;
interface Answer {
  readonly status: number;
  readonly body: Body;
}

/** Each request comes from another address: five failures of one would make it wait. */
let from = 0;

async function ask(method: string, path: string, body?: unknown, token?: string): Promise<Answer> {
  from = (from % 250) + 1;
  const headers = token === undefined ? undefined : { authorization: `Bearer ${token}` };
  return await control.ask(method, `/api/v1${path}`, body, headers, `127.0.1.${from}`);
}

function codeOf({ body }: Answer): unknown {
  return (body['error'] as Body | undefined)?.['code'];
}

async function register(name: string, role: string): Promise<{ token: string; id: string }> {
  const { code } = (await ask('POST', '/users/invitations', { role })).body;
  const { body } = await ask('POST', '/users/register', { code, email: name, password: PASSWORD }, 'nobody');
  return { token: String(body['token']), id: String((body['user'] as Body)['id']) };
}

function endOf({ body }: Answer): unknown {
  return (body['apiKey'] as Body)['expiresAt'];
}

async function create(key: string, node: string, headers: Record<string, string> = {}): Promise<Answer> {
  return await control.ask('POST', '/api/v1/tokens', { node }, { 'idempotency-key': key, ...headers });
}

async function login(name: string, password = PASSWORD): Promise<Answer> {
  return await ask('POST', '/users/login', { name, password }, 'nobody');
}

test('the first admin comes by the latest code, once, and after that there is none', async () => {
  const first = String((await ask('POST', '/users/first-code')).body['code']);
  const second = String((await ask('POST', '/users/first-code')).body['code']);
  const as = async (code: string, name: string): Promise<Answer> =>
    ask('POST', '/users/register', { code, name, password: PASSWORD }, 'nobody');
  expect(codeOf(await as(first, 'eve'))).toBe('CODE_WRONG');
  const made = await Promise.all([as(second, 'root1'), as(second, 'root2')]);
  expect(made.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 403]);
  expect((await ask('POST', '/users/first-code')).body).toEqual({ code: null });
});

describe('who registers', () => {
  test.each([
    [{ name: 'a b', password: PASSWORD }, 'USER_NAME_INVALID'],
    [{ name: 'fine', password: 'short' }, 'PASSWORD_WEAK'],
    [{ name: 'fine', password: 'aaaaaaaaaaaaaaaaaaaa' }, 'PASSWORD_WEAK'],
    [{ name: 'correct', password: PASSWORD }, 'PASSWORD_WEAK'],
    [{ password: PASSWORD }, 'INPUT_INVALID'],
    [{ name: 7, password: PASSWORD }, 'INPUT_INVALID'],
    [{ name: 'a', email: 'a', password: PASSWORD }, 'INPUT_INVALID'],
  ])('as %j is refused with %s, and spends no code', async (who, code) => {
    const invitation = (await ask('POST', '/users/invitations', { role: 'viewer' })).body;
    const answer = await ask('POST', '/users/register', { code: invitation['code'], ...who }, 'nobody');
    expect([answer.status, codeOf(answer)]).toEqual([422, code]);
    const { body } = await ask('GET', '/users/invitations');
    expect(body['invitations']).toContainEqual(expect.objectContaining({ id: invitation['id'] }));
  });

  test('by a name that is taken is told so, and by a code that was taken back is refused', async () => {
    await register('taken@example.org', 'viewer');
    const { code, id } = (await ask('POST', '/users/invitations', { role: 'viewer' })).body;
    const wanted = { code, name: 'Taken@example.org', password: PASSWORD };
    expect(codeOf(await ask('POST', '/users/register', wanted, 'nobody'))).toBe('USER_EXISTS');
    expect((await ask('DELETE', `/users/invitations/${String(id)}`)).status).toBe(204);
    expect(codeOf(await ask('POST', '/users/register', { ...wanted, name: 'new' }, 'nobody'))).toBe('CODE_WRONG');
  });
});

describe('a session', () => {
  test('is refreshed, which ends the old secret, and ends with logout', async () => {
    const { token } = await register('anna@example.org', 'viewer');
    expect((await ask('GET', '/users/me', undefined, token)).body).toMatchObject({
      name: 'anna@example.org',
      role: 'viewer',
    });
    const fresh = String((await ask('POST', '/users/refresh', undefined, token)).body['token']);
    expect((await ask('GET', '/users/me', undefined, token)).status).toBe(401);
    expect((await ask('POST', '/users/logout', undefined, fresh)).status).toBe(204);
    expect((await ask('GET', '/users/me', undefined, fresh)).status).toBe(401);
  });

  test('ends at once with a change of the password, a disabled user, and when an admin says so', async () => {
    const { token, id } = await register('bert@example.org', 'operator');
    const other = String((await login('bert@example.org')).body['token']);
    const isOpen = async (each: string): Promise<boolean> =>
      (await ask('GET', '/users/me', undefined, each)).status === 200;
    expect([await isOpen(token), await isOpen(other)]).toEqual([true, true]);
    const words = { oldPassword: PASSWORD, newPassword: 'another horse battery' };
    const wrong = { ...words, oldPassword: 'wrong' };
    expect(codeOf(await ask('POST', '/users/password', wrong, token))).toBe('LOGIN_WRONG');
    const changed = await ask('POST', '/users/password', words, token);
    const fresh = String(changed.body['token']);
    expect([await isOpen(token), await isOpen(other), await isOpen(fresh)]).toEqual([false, false, true]);
    expect([
      (await login('bert@example.org')).status,
      (await login('bert@example.org', words.newPassword)).status,
    ]).toEqual([401, 200]);
    expect((await ask('DELETE', `/users/${id}/sessions`)).body).toEqual({ ended: 2 });
    expect(await isOpen(fresh)).toBe(false);
    const last = String((await login('bert@example.org', words.newPassword)).body['token']);
    expect((await ask('PATCH', `/users/${id}`, { disabled: true })).body).toMatchObject({ disabled: true });
    expect(await isOpen(last)).toBe(false);
    expect(codeOf(await login('bert@example.org', words.newPassword))).toBe('LOGIN_WRONG');
  });

  test('may do what its user’s role may with the very next request', async () => {
    const { token, id } = await register('cleo@example.org', 'viewer');
    const makeToken = async (): Promise<number> => (await ask('POST', '/tokens', { node: 'oslo' }, token)).status;
    expect(await makeToken()).toBe(403);
    await ask('PATCH', `/users/${id}`, { role: 'operator' });
    expect(await makeToken()).toBe(201);
    await ask('PATCH', `/users/${id}`, { role: 'auditor' });
    expect(await makeToken()).toBe(403);
  });

  test('is what logout, refresh and password are for, not an API key or admin.token', async () => {
    expect(codeOf(await ask('POST', '/users/logout'))).toBe('SESSION_NEEDED');
    expect(codeOf(await ask('POST', '/users/refresh'))).toBe('SESSION_NEEDED');
  });
});

describe('guessing', () => {
  test('five failures of a user from one address make the sixth wait, even with the right password, and nobody else', async () => {
    const own = await startTestControl();
    const { code } = (await own.ask('POST', '/api/v1/users/first-code')).body as Body;
    await own.ask('POST', '/api/v1/users/register', { code, name: 'dora', password: PASSWORD });
    const guess = async (name: string, password: string): Promise<number> =>
      (await own.ask('POST', '/api/v1/users/login', { name, password })).status;
    const statuses: number[] = [];
    for (let at = 0; at < 5; at++) statuses.push(await guess('dora', `guess number ${at}`));
    expect(statuses).toEqual([401, 401, 401, 401, 401]);
    expect(await guess('dora', PASSWORD)).toBe(429);
    expect(await guess('somebody-else', PASSWORD)).toBe(401);
    await own.stop();
  });

  test('of forty guesses at once five are answered, and not all wait', async () => {
    const own = await startTestControl();
    const answers = await Promise.all(
      Array.from({ length: 40 }, async () =>
        own.ask('POST', '/api/v1/users/login', { name: 'nobody', password: PASSWORD }),
      ),
    );
    const count = (status: number): number => answers.filter((answer) => answer.status === status).length;
    expect(count(401)).toBe(5);
    expect(count(429) + count(503)).toBe(35);
    expect(count(503)).toBeGreaterThan(0);
    const busy = answers.find(({ status }) => status === 503);
    expect(busy?.body).toMatchObject({ error: { code: 'HASH_BUSY' } });
    await own.stop();
  });
});

describe('an API key', () => {
  test('may do what it was given and its owner still may, and ends when it is revoked', async () => {
    const { token, id } = await register('emil@example.org', 'operator');
    const made = await ask('POST', '/api-keys', { name: 'ci', role: 'operator', actions: ['tokens:create'] }, token);
    expect(made.status).toBe(201);
    const key = String(made.body['token']);
    const makeToken = async (): Promise<number> => (await ask('POST', '/tokens', { node: 'rome' }, key)).status;
    expect([await makeToken(), (await ask('GET', '/nodes', undefined, key)).status]).toEqual([201, 403]);
    await ask('PATCH', `/users/${id}`, { role: 'viewer' });
    expect(await makeToken()).toBe(403);
    await ask('PATCH', `/users/${id}`, { role: 'operator' });
    expect(await makeToken()).toBe(201);
    const keyId = String((made.body['apiKey'] as Body)['id']);
    expect((await ask('DELETE', `/api-keys/${keyId}`, undefined, token)).status).toBe(204);
    expect(await makeToken()).toBe(401);
  });

  test('has no more rights than whoever makes it, by role, by action, or by another key', async () => {
    const { token } = await register('fay@example.org', 'operator');
    const make = async (body: object, as = token): Promise<unknown> =>
      codeOf(await ask('POST', '/api-keys', { name: 'k', ...body }, as));
    expect(await make({ role: 'admin' })).toBe('RIGHTS_EXCEEDED');
    expect(await make({ role: 'auditor' })).toBe('RIGHTS_EXCEEDED');
    expect(await make({ role: 'admin', actions: ['nodes:delete'] })).toBe('RIGHTS_EXCEEDED');
    const narrow = await ask(
      'POST',
      '/api-keys',
      { name: 'n', role: 'operator', actions: ['api-keys:create', 'status:read'], ttlSeconds: 60 },
      token,
    );
    const key = String(narrow.body['token']);
    expect(await make({ role: 'operator' }, key)).toBe('RIGHTS_EXCEEDED');
    expect(await make({ role: 'operator', actions: ['tokens:create'] }, key)).toBe('RIGHTS_EXCEEDED');
    const child = await ask('POST', '/api-keys', { name: 'c', actions: ['status:read'], ttlSeconds: 86_400 }, key);
    expect([child.status, endOf(child)]).toEqual([201, endOf(narrow)]);
  });

  test('ends when its time is over', async () => {
    const { body } = await ask('POST', '/api-keys', { name: 'short', role: 'viewer', ttlSeconds: 1 });
    const key = String(body['token']);
    expect((await ask('GET', '/status', undefined, key)).status).toBe(200);
    await vi.waitFor(async () => expect((await ask('GET', '/status', undefined, key)).status).toBe(401), 5_000);
  });

  test('is nobody’s but its owner’s: another user neither sees nor ends it, and cannot tell it from none', async () => {
    const [gus, hana] = [await register('gus@example.org', 'viewer'), await register('hana@example.org', 'viewer')];
    const made = await ask('POST', '/api-keys', { name: 'own' }, gus.token);
    const keyId = String((made.body['apiKey'] as Body)['id']);
    const listed = async (token: string): Promise<unknown> =>
      (await ask('GET', '/api-keys', undefined, token)).body['apiKeys'];
    expect(await listed(gus.token)).toHaveLength(1);
    expect(await listed(hana.token)).toEqual([]);
    for (const id of [keyId, '0'.repeat(32)]) {
      expect((await ask('GET', `/api-keys/${id}`, undefined, hana.token)).status).toBe(403);
      expect((await ask('DELETE', `/api-keys/${id}`, undefined, hana.token)).status).toBe(403);
    }
    expect((await ask('GET', `/users/${gus.id}`, undefined, hana.token)).status).toBe(403);
    expect((await ask('GET', '/users', undefined, hana.token)).body['users']).toMatchObject([{ id: hana.id }]);
  });
});

describe('Idempotency-Key', () => {
  test('makes the same thing once, however often and however fast it is asked for', async () => {
    const first = await create('one', 'oslo');
    expect(await create('one', 'oslo')).toEqual(first);
    const crowd = await Promise.all(Array.from({ length: 10 }, async () => create('crowd', 'oslo')));
    const made = new Set(crowd.filter(({ status }) => status === 201).map(({ body }) => body['id']));
    expect(made.size).toBe(1);
    expect(
      crowd
        .filter(({ status }) => status !== 201)
        .map(codeOf)
        .every((code) => code === 'IDEMPOTENCY_BUSY'),
    ).toBe(true);
  });

  test('is refused for another request, is each principal’s own, and may be used again after a refusal', async () => {
    expect(codeOf(await create('one', 'rome'))).toBe('IDEMPOTENCY_DIFFERS');
    const { token } = await register('ivo@example.org', 'operator');
    const other = await create('one', 'rome', { authorization: `Bearer ${token}` });
    expect(other.status).toBe(201);
    const again = String((await login('ivo@example.org')).body['token']);
    expect(codeOf(await create('one', 'rome', { authorization: `Bearer ${again}` }))).toBe('IDEMPOTENCY_SEALED');
    expect(codeOf(await create('two', 'No Name'))).toBe('NAME_INVALID');
    expect((await create('two', 'oslo')).status).toBe(201);
  });

  test('of a form that is none is refused', async () => {
    expect(codeOf(await create('a b', 'oslo'))).toBe('INPUT_INVALID');
  });
});

test('counts are for admins', async () => {
  const { token } = await register('jo@example.org', 'auditor');
  expect((await ask('GET', '/users/stats', undefined, token)).status).toBe(403);
  expect((await ask('GET', '/users/stats')).body).toMatchObject({ users: expect.any(Number) as number });
});
