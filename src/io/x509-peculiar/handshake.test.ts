import { constants } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import type { SecureContextOptions } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { createTestCa } from '../../../tests/fixtures/test-ca.ts';
import type { TestLeaf } from '../../../tests/fixtures/test-ca.ts';

const postQuantum: SecureContextOptions & { allowPartialTrustChain: true } = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ecdhCurve: 'X25519MLKEM768',
  sigalgs: 'mldsa65:mldsa87',
  secureOptions: constants.SSL_OP_NO_TICKET,
  allowPartialTrustChain: true,
};

/** One real handshake; what the server thinks of the client's certificate. `tls.createServer` would drop allowPartialTrustChain. */
async function judge(
  anchorPem: string,
  server: TestLeaf,
  client: TestLeaf,
): Promise<{ error: string; group: unknown }> {
  const secureContext = createSecureContext({
    ...postQuantum,
    ca: anchorPem,
    cert: server.certPem,
    key: server.keyPem,
  });
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const accepted = once(listener, 'connection');
  const dialled = connect({
    ...postQuantum,
    port: (listener.address() as AddressInfo).port,
    ca: anchorPem,
    cert: client.certPem,
    key: client.keyPem,
    checkServerIdentity: () => undefined,
  });
  const linked = once(dialled, 'secureConnect');
  const [raw] = (await accepted) as [Socket];
  const socket = new TLSSocket(raw, { isServer: true, secureContext, requestCert: true, rejectUnauthorized: false });
  await Promise.all([once(socket, 'secure'), linked]);
  const verdict = { error: verifyError(socket), group: dialled.getEphemeralKeyInfo() };
  dialled.destroy();
  socket.destroy();
  listener.close();
  return verdict;
}

function verifyError(socket: TLSSocket): string {
  const error: unknown = Reflect.get(socket, 'ssl').verifyError();
  return error instanceof Error ? error.message : '';
}

describe('OpenSSL', () => {
  test('accepts an SVID under a name-constrained issuer that is the trust anchor, over X25519MLKEM768', async () => {
    const ca = await createTestCa();
    const [server, client] = [await ca.issue({ name: 'oslo' }), await ca.issue({ name: 'rome' })];
    const verdict = await judge(ca.issuerPem, server, client);
    expect(verdict.error).toBe('');
    expect(verdict.group).toMatchObject({ name: 'X25519MLKEM768' });
  });

  test('refuses a leaf of another trust domain by the name constraint of its issuer', async () => {
    const ca = await createTestCa();
    const verdict = await judge(
      ca.issuerPem,
      await ca.issue({ name: 'oslo' }),
      await ca.issue({ name: 'rome', wrongDomain: true }),
    );
    expect(verdict.error).toMatch(/permitted subtree violation/);
  });

  test('refuses a leaf of a forged authority with the same names', async () => {
    const [ca, forged] = [await createTestCa(), await createTestCa()];
    const verdict = await judge(ca.issuerPem, await ca.issue({ name: 'oslo' }), await forged.issue({ name: 'rome' }));
    expect(verdict.error).not.toBe('');
  });
});
