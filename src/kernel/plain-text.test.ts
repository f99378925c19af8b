import { expect, test } from 'vitest';
import { isCodeShaped, plainJson, plainLines, plainText } from './plain-text.ts';

const HOSTILE = '\u001b]0;x\u0007 \u009b2J \u202e\u2066 \u2028 \u{e0041} é 日本 😀';

test('what could move a cursor or turn text round becomes a question mark, the rest stays', () => {
  expect(plainText(HOSTILE)).toBe('?]0;x? ?2J ?? ? ? é 日本 😀');
  expect(plainLines('a\n\u001bb')).toBe('a\n?b');
});

test('JSON says the same in characters that do nothing', () => {
  const json = plainJson({ [HOSTILE]: HOSTILE });
  expect(plainText(json)).toBe(json);
  expect(JSON.parse(json)).toEqual({ [HOSTILE]: HOSTILE });
});

test('a code is capitals, digits and underscores, at most 64', () => {
  expect(['A', 'NODE_DOWN', `A${'B'.repeat(63)}`].every(isCodeShaped)).toBe(true);
  expect(['', 'a', '1A', 'A\n', 'A\u001b', `A${'B'.repeat(64)}`].some(isCodeShaped)).toBe(false);
});
