import { expect, test } from 'vitest';
import { listenFailure } from './listen-failure.ts';

const at = { host: '::1', port: 80 };

test.each([
  ['EADDRINUSE', 'PORT_IN_USE', '[::1]:80'],
  ['EADDRNOTAVAIL', 'ADDRESS_NOT_HERE', '::1'],
  ['ENOTFOUND', 'ADDRESS_NOT_HERE', '::1'],
  ['EACCES', 'PORT_NOT_ALLOWED', '[::1]:80'],
])('%s is %s, with where it was and what to choose', (code, ours, where) => {
  const failure = listenFailure(Object.assign(new Error('listen'), { code }), at, '--socks');
  expect(failure).toMatchObject({ code: ours });
  expect(failure.message).toContain(where);
  expect(failure.message).toContain('another --socks');
});

test('any other error stays what it is', () => {
  const error = new Error('else');
  expect(listenFailure(error, at, '--socks')).toBe(error);
});
