import { ok, type Result } from '#kernel/result.ts';
import { type AccountRefusal, refuseAccount } from './refusal.ts';

/** NIST SP 800-63B §3.1.1.2: length is what counts; the upper bound keeps a hash's input small. */
export const PASSWORD_LEAST_CHARS = 12;
export const PASSWORD_MOST_CHARS = 256;
export const NAME_MOST_CHARS = 128;

const NAME = /^[a-z0-9](?:[a-z0-9._@+-]{0,126}[a-z0-9])?$/;
const DAY_MS = 24 * 3_600_000;
export const INVITATION_LIFE_MS = 7 * DAY_MS;
export const KEY_LIFE_DEFAULT_MS = 90 * DAY_MS;
export const KEY_LIFE_MOST_MS = 366 * DAY_MS;
const KEY_LIFE_LEAST_MS = 1_000;

/** The name as it is kept. */
export function checkUserName(name: string): Result<string, AccountRefusal> {
  const lower = name.toLowerCase();
  if (NAME.test(lower)) return ok(lower);
  return refuseAccount(
    'USER_NAME_INVALID',
    `a user’s name is an email address or 1 to ${NAME_MOST_CHARS} of a-z, 0-9 and inner . _ @ + -`,
  );
}

export function checkPassword(password: string, name: string): Result<void, AccountRefusal> {
  const isLong = password.length >= PASSWORD_LEAST_CHARS && password.length <= PASSWORD_MOST_CHARS;
  const hasOthers = new Set(password).size > 4 && !password.toLowerCase().includes(name);
  if (isLong && hasOthers) return ok(undefined);
  return refuseAccount(
    'PASSWORD_WEAK',
    `a password has ${PASSWORD_LEAST_CHARS} to ${PASSWORD_MOST_CHARS} characters, at least 5 different ones, and not the user’s name`,
  );
}

/** Milliseconds that a key lives. */
export function checkKeyLife(seconds: number | undefined): Result<number, AccountRefusal> {
  const lifeMs = seconds === undefined ? KEY_LIFE_DEFAULT_MS : seconds * 1_000;
  if (lifeMs >= KEY_LIFE_LEAST_MS && lifeMs <= KEY_LIFE_MOST_MS) return ok(lifeMs);
  return refuseAccount('TTL_INVALID', `an API key lives 1 to ${KEY_LIFE_MOST_MS / 1_000} seconds`);
}
