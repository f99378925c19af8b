import { duplexPair } from 'node:stream';
import { expect, test } from 'vitest';
import { createTestCa } from '../../../tests/fixtures/test-ca.ts';
import { credentialsOf } from '../../../tests/fixtures/tunnels.ts';
import { secureAsAcceptor, secureAsDialer } from './handshake.ts';

test('a transport that breaks right after the handshake destroys the socket and ends nothing else', async () => {
  const ca = await createTestCa();
  const [near, far] = [
    credentialsOf(ca, 'near', await ca.issue({ name: 'near' })),
    credentialsOf(ca, 'far', await ca.issue({ name: 'far' })),
  ];
  const [a, b] = duplexPair();
  const [dialled, accepted] = await Promise.all([
    secureAsDialer(a, { credentials: near, isRevoked: () => false }),
    secureAsAcceptor(b, { credentials: far, isRevoked: () => false }),
  ]);
  // Nobody has had the time to listen yet; an error without a listener would end the process.
  const closed = new Promise((resolve) => dialled.socket.once('close', resolve));
  a.destroy(new Error('the circuit is not wanted any more'));
  await closed;
  expect(dialled.socket.destroyed).toBe(true);
  accepted.socket.destroy();
});
