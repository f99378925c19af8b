import { beforeEach, expect, test } from 'vitest';
import { SharedMemory } from '#io/shared-memory/shared-memory.ts';
import { ACCOUNT_FAILURE_LIMIT, ADDRESS_FAILURE_LIMIT, LoginGuard, PAIR_FAILURE_LIMIT } from './login-guard.ts';

let nowMs: number;
let wallMs: number;
let guard: LoginGuard;

beforeEach(() => {
  [nowMs, wallMs] = [0, 1_800_000_000_000];
  guard = new LoginGuard(new SharedMemory(() => nowMs), () => wallMs);
});

async function fail(account: string, address: string, times: number): Promise<void> {
  for (let time = 0; time < times; time++) await guard.handleFailure({ account, address });
}

async function isBlocked(account: string, address: string): Promise<boolean> {
  return (await guard.waitMs({ account, address })) !== undefined;
}

test('five failures of one account from one address block that pair for the minute, and no other', async () => {
  await fail('anna', '192.0.2.1', PAIR_FAILURE_LIMIT - 1);
  expect(await isBlocked('anna', '192.0.2.1')).toBe(false);
  await fail('anna', '192.0.2.1', 1);
  expect(await isBlocked('anna', '192.0.2.1')).toBe(true);
  expect([await isBlocked('anna', '192.0.2.2'), await isBlocked('bert', '192.0.2.1')]).toEqual([false, false]);
  nowMs += 60_001;
  expect(await isBlocked('anna', '192.0.2.1')).toBe(false);
});

test('an address that tries many accounts waits with all of them', async () => {
  for (let account = 0; account < ADDRESS_FAILURE_LIMIT; account++) await fail(`user${account}`, '192.0.2.1', 1);
  expect([await isBlocked('anna', '192.0.2.1'), await isBlocked('anna', '192.0.2.2')]).toEqual([true, false]);
});

test('an account that many addresses try gives each of them one failure, and stays open to who has not failed', async () => {
  for (let address = 0; address <= ACCOUNT_FAILURE_LIMIT; address++) await fail('anna', `198.51.100.${address}`, 1);
  await fail('anna', '203.0.113.1', 1);
  expect(await isBlocked('anna', '203.0.113.1')).toBe(true);
  expect(await isBlocked('anna', '192.0.2.1')).toBe(false);
  expect(await isBlocked('bert', '203.0.113.1')).toBe(false);
});

test('a clock that is set back makes nobody wait longer than the minute', async () => {
  await fail('anna', '192.0.2.1', PAIR_FAILURE_LIMIT);
  wallMs -= 3_600_000;
  expect(await guard.waitMs({ account: 'anna', address: '192.0.2.1' })).toBe(60_000);
  wallMs += 7_200_000;
  expect(await guard.waitMs({ account: 'anna', address: '192.0.2.1' })).toBe(1);
});

test('wrong codes of one address block codes, and no login', async () => {
  for (let time = 0; time < PAIR_FAILURE_LIMIT; time++)
    await guard.handleFailure({ account: undefined, address: '192.0.2.1' });
  expect(await guard.waitMs({ account: undefined, address: '192.0.2.1' })).toBeGreaterThan(0);
  expect(await isBlocked('anna', '192.0.2.1')).toBe(false);
});
