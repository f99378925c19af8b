import { createHash } from 'node:crypto';
import type { Kysely } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SeededRandom } from '#kernel/random.ts';
import { SharedMemory } from '#io/shared-memory/shared-memory.ts';
import { KyselyAccountStore } from '#io/store-kysely/accounts-store.ts';
import type { Tables } from '#io/store-kysely/tables.ts';
import { SQLITE } from '../../../tests/harness/databases.ts';
import { type OpenedSession, SESSION_IDLE_MS, SESSION_LIFE_MS, Sessions } from './sessions.ts';
import { makeSecret } from './secrets.ts';
import type { StoredUser } from './store.ts';

const PASSWORDS = { hash: async () => 'hash', verify: async () => true };

let database: Kysely<Tables>;
let store: KyselyAccountStore;
let wallMs: number;
let nowMs: number;
let random: SeededRandom;
let user: StoredUser;
let asked: number;

beforeEach(async () => {
  database = await SQLITE.open();
  store = new KyselyAccountStore(database);
  [wallMs, nowMs, asked, random] = [1_800_000_000_000, 0, 0, new SeededRandom(1)];
  const times = { createdAtMs: wallMs, expiresAtMs: wallMs + 1_000 };
  await store.putInvitation({ id: 'i', secretHash: 'h', role: 'viewer', invitedBy: 'local', ...times });
  const wanted = { id: 'anna', name: 'anna', passwordHash: 'hash', createdAtMs: wallMs, isDisabled: false };
  const made = await store.register({ id: 'i', secretHash: 'h' }, wanted, wallMs);
  if (typeof made === 'string') throw new Error(made);
  user = made;
});
afterEach(async () => database.destroy());

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}

/** One replica; all look at the same database. */
function replica(shared: SharedMemory): Sessions {
  const counting = new Proxy(store, {
    get: (target, name) => {
      if (name === 'findSession') asked++;
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
  return new Sessions({
    store: counting,
    passwords: PASSWORDS,
    shared,
    random,
    sha256,
    wallMs: () => wallMs,
    nowMs: () => nowMs,
  });
}

async function opened(sessions: Sessions): Promise<OpenedSession> {
  const session = await sessions.open(user);
  if (session === undefined) throw new Error('no session was opened');
  return session;
}

test('a session in use is asked for once a second, however many requests it makes', async () => {
  const sessions = replica(new SharedMemory(() => nowMs));
  const { token } = await opened(sessions);
  const reads = Array.from({ length: 50 }, async () => sessions.authenticate(token));
  for (const found of await Promise.all(reads))
    expect(found?.principal).toEqual({ kind: 'user', id: 'anna', roles: ['viewer'] });
  expect(asked).toBe(1);
  nowMs += 1_000;
  await sessions.authenticate(token);
  expect(asked).toBe(2);
});

test('what one replica ends is over at another with the notice, and without any a second later', async () => {
  const shared = new SharedMemory(() => nowMs);
  const [here, there] = [replica(shared), replica(shared)];
  const alone = replica(new SharedMemory(() => nowMs));
  const { token } = await opened(here);
  const isOpen = async (at: Sessions): Promise<boolean> => (await at.authenticate(token)) !== undefined;
  expect([await isOpen(here), await isOpen(there), await isOpen(alone)]).toEqual([true, true, true]);
  expect(await here.endAll('anna')).toBe(1);
  expect([await isOpen(here), await isOpen(there), await isOpen(alone)]).toEqual([false, false, true]);
  nowMs += 1_000;
  expect(await isOpen(alone)).toBe(false);
});

test('a session ends when it is idle, and after a week however busy it was', async () => {
  const sessions = replica(new SharedMemory(() => nowMs));
  const idle = await opened(sessions);
  wallMs += SESSION_IDLE_MS;
  expect(await sessions.authenticate(idle.token)).toBeUndefined();
  const busy = await opened(sessions);
  const endMs = wallMs + SESSION_LIFE_MS;
  while (wallMs + SESSION_IDLE_MS / 2 < endMs) {
    wallMs += SESSION_IDLE_MS / 2;
    nowMs += SESSION_IDLE_MS / 2;
    expect(await sessions.authenticate(busy.token)).toBeDefined();
  }
  const refreshed = await sessions.refresh(busy.token);
  expect(refreshed).toMatchObject({ ok: true, value: { expiresAtMs: endMs } });
  expect(await sessions.authenticate(busy.token)).toBeUndefined();
  wallMs = endMs;
  nowMs += SESSION_IDLE_MS;
  expect(refreshed.ok ? await sessions.authenticate(refreshed.value.token) : undefined).toBeUndefined();
});

test('a login that a change of password or a disabled account overtakes opens nothing', async () => {
  const sessions = replica(new SharedMemory(() => nowMs));
  await store.changePassword('anna', 'hash', 'another hash');
  expect(await sessions.open(user)).toBeUndefined();
  const changed = { ...user, passwordHash: 'another hash' };
  await store.changeUser('anna', { isDisabled: true });
  expect(await sessions.open(changed)).toBeUndefined();
  expect((await store.counts(wallMs)).sessions).toBe(0);
});

test('a clock that is set back lengthens no session and no key', async () => {
  const sessions = replica(new SharedMemory(() => nowMs));
  const { token } = await opened(sessions);
  const made = makeSecret({ random, sha256 }, 'k');
  const times = { createdAtMs: wallMs, expiresAtMs: wallMs + 60_000, lastUsedAtMs: null };
  const key = {
    id: made.id,
    secretHash: made.secretHash,
    userId: 'anna',
    name: 'k',
    role: 'viewer',
    actions: null,
  } as const;
  await store.putKey({ ...key, ...times }, 10);
  const isOpen = async (): Promise<boolean[]> => {
    nowMs += 2_000;
    return [await sessions.authenticate(token), await sessions.authenticate(made.text)].map((it) => it !== undefined);
  };
  expect(await isOpen()).toEqual([true, true]);
  wallMs -= 4 * 60_000;
  expect(await isOpen()).toEqual([true, true]);
  wallMs -= 10 * 60_000;
  expect(await isOpen()).toEqual([false, false]);
});
