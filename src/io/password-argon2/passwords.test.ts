import { expect, test } from 'vitest';
import { Argon2Passwords } from './passwords.ts';

test('a password fits its own hash and no other, and no two hashes are alike', async () => {
  const passwords = new Argon2Passwords();
  const [first = '', second = ''] = [await passwords.hash('a password'), await passwords.hash('a password')];
  expect(first).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  expect(first).not.toBe(second);
  expect(await passwords.verify('a password', first)).toBe(true);
  expect(await passwords.verify('another', first)).toBe(false);
});

test('a hash of other costs counts too', async () => {
  const passwords = new Argon2Passwords();
  expect(await passwords.verify('x', '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA')).toBe(
    false,
  );
});

test('without a hash, or with one that cannot be read, it takes as long and is false', async () => {
  const passwords = new Argon2Passwords();
  const hash = await passwords.hash('a password');
  const took = async (text: string | undefined): Promise<number> => {
    const samples: number[] = [];
    for (let at = 0; at < 5; at++) {
      const startMs = performance.now();
      expect(await passwords.verify('a guess', text)).toBe(false);
      samples.push(performance.now() - startMs);
    }
    return Math.min(...samples);
  };
  const [known, nobody, damaged] = [await took(hash), await took(undefined), await took('$argon2id$')];
  expect(nobody / known).toBeGreaterThan(0.5);
  expect(nobody / known).toBeLessThan(2);
  expect(damaged / known).toBeGreaterThan(0.5);
});

test('of forty at once thirty-two wait for their turn, and the others are told', async () => {
  const passwords = new Argon2Passwords();
  const done = await Promise.all(Array.from({ length: 40 }, async () => passwords.verify('a', undefined)));
  expect(done.filter((each) => each === undefined)).toHaveLength(8);
  expect(await passwords.verify('a', undefined)).toBe(false);
});
