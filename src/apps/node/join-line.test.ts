import { expect, test } from 'vitest';
import { encodeJoinToken } from '#trust/token.ts';
import { formatJoinLine } from './join-line.ts';

function tokenFor(addresses: readonly string[]): string {
  const [secret, rootSha256] = [new Uint8Array(32), new Uint8Array(32)];
  return encodeJoinToken({
    id: '0123456789abcdef',
    secret,
    node: 'paris',
    addresses,
    rootSha256,
    trustDomain: 'x0.mesh',
  });
}

const line = { command: './x0', node: 'paris', dataDir: '/my data' };

test('a token that only this host can use names a directory here, whole', () => {
  const token = tokenFor(['127.0.0.1:8443', '[::1]:8443']);
  expect(formatJoinLine({ ...line, token })).toBe(`./x0 node --join ${token} --data-dir '/my data/nodes/paris'`);
});

test('one that others can use names a directory that can be made there', () => {
  const token = tokenFor(['192.0.2.7:8443', '127.0.0.1:8443']);
  expect(formatJoinLine({ ...line, token, relay: true })).toBe(
    `./x0 node --join ${token} --relay --link HOST:PORT --data-dir .x0/nodes/paris`,
  );
});
