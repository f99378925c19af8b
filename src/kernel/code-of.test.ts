import { expect, test } from 'vitest';
import { codeOf } from './code-of.ts';

const withCode = (code: unknown): unknown => Object.assign(new Error('no'), { code });

test('an error has the code that it carries, if that is text', () => {
  expect(codeOf(withCode('EPIPE'))).toBe('EPIPE');
  expect([withCode(7), new Error('no'), { code: 'EPIPE' }, 'EPIPE', null, undefined].map(codeOf)).toEqual(
    Array.from({ length: 6 }, () => undefined),
  );
});
