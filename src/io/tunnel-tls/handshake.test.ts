import { createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { connect, type SecureContextOptions } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createTestCa, type TestCa, type TestLeafRequest } from '../../../tests/fixtures/test-ca.ts';
import {
  connectRaw,
  credentialsOf,
  dial,
  dialAsRogue,
  ListenerUnderTest,
  listenAsRogue,
  LOOPBACK,
  type RoguePeer,
  until,
} from '../../../tests/fixtures/tunnels.ts';
import type { TunnelCredentials } from './credentials.ts';
import { HandshakeError } from './handshake.ts';

/** What a bad peer has, and the code for it where it dials us and where we dialled it. */
interface Case {
  readonly what: string;
  readonly leaf?: Partial<TestLeafRequest> | 'forged';
  readonly tls?: SecureContextOptions & { readonly sigalgs?: string };
  readonly dialling: string;
  readonly dialled: string;
}

const CERTIFICATE_CASES: readonly Case[] = [
  { what: 'a forged authority of the same name', leaf: 'forged', ...both('CERT_UNTRUSTED') },
  { what: 'an expired certificate', leaf: { expired: true }, ...both('CERT_EXPIRED') },
  { what: 'a certificate of tomorrow', leaf: { notYetValid: true }, ...both('CERT_NOT_YET_VALID') },
  { what: 'another trust domain', leaf: { wrongDomain: true }, ...both('CERT_WRONG_TRUST_DOMAIN') },
  { what: 'two SPIFFE IDs', leaf: { twoSans: true }, ...both('CERT_TWO_URI_SANS') },
  { what: 'no SPIFFE ID', leaf: { noSan: true }, ...both('CERT_NO_URI_SAN') },
  { what: 'a path that names no node', leaf: { badPath: true }, ...both('CERT_BAD_PATH') },
  { what: 'an authority’s certificate as its own', leaf: { caLeaf: true }, ...both('CERT_IS_CA') },
  { what: 'one more key usage', leaf: { wrongKeyUsage: true }, ...both('CERT_KEY_USAGE') },
  { what: 'the client’s purpose only', leaf: { clientOnly: true }, ...both('CERT_EXTENDED_KEY_USAGE') },
  { what: 'no purpose at all', leaf: { noExtendedKeyUsage: true }, ...both('CERT_EXTENDED_KEY_USAGE') },
];

const TLS_CASES: readonly Case[] = [
  {
    what: 'a P-256 certificate',
    leaf: { classical: true },
    dialling: 'CERT_MISSING',
    dialled: 'TLS_NOTHING_IN_COMMON',
  },
  { what: 'TLS 1.2', tls: { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }, ...both('TLS_VERSION') },
  { what: 'X25519 alone', tls: { ecdhCurve: 'X25519' }, dialling: 'TLS_GROUP', dialled: 'TLS_NOTHING_IN_COMMON' },
  { what: 'P-256 alone', tls: { ecdhCurve: 'P-256' }, dialling: 'TLS_GROUP', dialled: 'TLS_NOTHING_IN_COMMON' },
  { what: 'ML-KEM alone', tls: { ecdhCurve: 'MLKEM768' }, dialling: 'TLS_GROUP', dialled: 'TLS_NOTHING_IN_COMMON' },
  {
    what: 'classical signatures alone',
    tls: { sigalgs: 'ECDSA+SHA256:RSA-PSS+SHA256' },
    dialling: 'TLS_SIGNATURE',
    dialled: 'TLS_NOTHING_IN_COMMON',
  },
];

function both(code: string): { readonly dialling: string; readonly dialled: string } {
  return { dialling: code, dialled: code };
}

describe.each([
  ['a name-constrained authority', false],
  ['an authority without name constraints', true],
])('under %s', (_label, unconstrained) => {
  let ca: TestCa;
  let forged: TestCa;
  let oslo: TunnelCredentials;
  let listener: ListenerUnderTest;

  beforeAll(async () => {
    [ca, forged] = await Promise.all([createTestCa({ unconstrained }), createTestCa({ unconstrained })]);
    oslo = credentialsOf(ca, 'oslo', await ca.issue({ name: 'oslo' }));
    listener = await new ListenerUnderTest(oslo).listen();
  });

  afterAll(() => listener.close());

  async function rogueOf({ leaf, tls }: Case): Promise<RoguePeer> {
    const issuer = leaf === 'forged' ? forged : ca;
    const request = leaf === 'forged' ? {} : leaf;
    return { leaf: await issuer.issue({ name: 'rome', ...request }), ...(tls === undefined ? {} : { tls }) };
  }

  async function refusalOf(act: () => Promise<void>): Promise<Record<string, number>> {
    const before = listener.refusals();
    await act();
    await until(() => JSON.stringify(listener.refusals()) !== JSON.stringify(before));
    const entries = Object.entries(listener.refusals()).map(([code, count]) => [code, count - (before[code] ?? 0)]);
    return Object.fromEntries(entries.filter(([, count]) => count !== 0));
  }

  test.each([...CERTIFICATE_CASES, ...TLS_CASES])('a dialler with $what is refused and counted', async (rogue) => {
    const peer = await rogueOf(rogue);
    expect(await refusalOf(() => dialAsRogue(listener.port, peer))).toEqual({ [rogue.dialling]: 1 });
    expect(listener.accepted).toEqual([]);
  });

  test('a dialler with no certificate is refused and counted', async () => {
    expect(await refusalOf(() => dialAsRogue(listener.port, {}))).toEqual({ CERT_MISSING: 1 });
  });

  test.each([...CERTIFICATE_CASES, ...TLS_CASES])('an acceptor with $what is refused', async (rogue) => {
    const { server, address } = await listenAsRogue(await rogueOf(rogue));
    await expect(dial(address, oslo, 'rome')).rejects.toMatchObject({ name: 'HandshakeError', code: rogue.dialled });
    server.close();
  });

  test('an acceptor with no certificate is refused', async () => {
    const { server, address } = await listenAsRogue({});
    await expect(dial(address, oslo, 'rome')).rejects.toMatchObject({ code: 'TLS_NOTHING_IN_COMMON' });
    server.close();
  });

  test('a forger who sends a victim’s certificate after its own is refused', async () => {
    const victim = await ca.issue({ name: 'rome' });
    const peer = { leaf: await forged.issue({ name: 'rome' }), filler: victim.certPem };
    expect(await refusalOf(() => dialAsRogue(listener.port, peer))).toEqual({ CERT_UNTRUSTED: 1 });
    const { server, address } = await listenAsRogue(peer);
    await expect(dial(address, oslo, 'rome')).rejects.toMatchObject({ code: 'CERT_UNTRUSTED' });
    server.close();
  });

  test('a member who sends a victim’s certificate after its own is taken for itself', async () => {
    const [mallory, victim] = [await ca.issue({ name: 'mallory' }), await ca.issue({ name: 'rome' })];
    const { server, address } = await listenAsRogue({ leaf: mallory, filler: victim.certPem });
    await expect(dial(address, oslo, 'rome')).rejects.toMatchObject({ code: 'CERT_WRONG_ID' });
    server.close();
    void dialAsRogue(listener.port, { leaf: mallory, filler: victim.certPem });
    await until(() => listener.accepted.length === 1);
    expect(listener.accepted.splice(0).map(({ socket, peer }) => [peer.name, socket.destroy().destroyed])).toEqual([
      ['mallory', true],
    ]);
  });
});

const NAMELESS = { checkServerIdentity: () => undefined };

describe('between members', () => {
  let ca: TestCa;
  let rome: TunnelCredentials;
  let listener: ListenerUnderTest;

  beforeAll(async () => {
    ca = await createTestCa();
    rome = credentialsOf(ca, 'rome', await ca.issue({ name: 'rome' }));
    listener = await new ListenerUnderTest(
      credentialsOf(ca, 'oslo', await ca.issue({ name: 'oslo' })),
      ({ name }) => name === 'mallory',
    ).listen();
  });

  afterEach(() => {
    for (const { socket } of listener.accepted.splice(0)) socket.destroy();
  });

  afterAll(() => listener.close());

  test('a good pair links over X25519MLKEM768 with ML-DSA-65 on both sides', async () => {
    const dialled = await dial(listener.address, rome, 'oslo');
    await until(() => listener.accepted.length === 1);
    const [accepted] = listener.accepted.splice(0);
    expect(dialled).toMatchObject({ group: 'X25519MLKEM768', peer: { name: 'oslo', publicKeyAlgorithm: 'ml-dsa-65' } });
    expect(accepted?.peer).toMatchObject({ name: 'rome', publicKeyAlgorithm: 'ml-dsa-65' });
    expect(dialled.socket.getEphemeralKeyInfo()).toMatchObject({ name: 'X25519MLKEM768' });
    expect(dialled.socket.getProtocol()).toBe('TLSv1.3');
    dialled.socket.destroy();
    accepted?.socket.destroy();
  });

  test('the right member who is not the one that was dialled is refused', async () => {
    await expect(dial(listener.address, rome, 'lima')).rejects.toMatchObject({ code: 'CERT_WRONG_ID' });
  });

  test('any member is taken where none is named', async () => {
    const { peer, socket } = await dial(listener.address, rome);
    await until(() => listener.accepted.length === 1);
    expect(peer.name).toBe('oslo');
    socket.destroy();
  });

  test('a revoked member is refused on either side', async () => {
    const before = listener.refusals();
    await dialAsRogue(listener.port, { leaf: await ca.issue({ name: 'mallory' }) });
    await until(() => listener.refusals()['CERT_REVOKED'] === (before['CERT_REVOKED'] ?? 0) + 1);
    await expect(dial(listener.address, rome, 'oslo', () => true)).rejects.toMatchObject({ code: 'CERT_REVOKED' });
  });

  test('sends no ticket that carries a certificate, and resumes nothing that is offered', async () => {
    const first = await dial(listener.address, rome, 'oslo');
    await until(() => listener.accepted.length === 1);
    const session = once(first.socket.resume(), 'session') as Promise<[Buffer]>;
    listener.accepted[0]?.socket.write('after everything that the handshake sends');
    const [offered] = await session;
    // TLS 1.3 without stateless tickets sends a number of the server's cache, which is not kept.
    expect(first.socket.getTLSTicket()?.byteLength ?? 0).toBeLessThanOrEqual(32);
    const { context } = rome;
    const again = connect({
      host: LOOPBACK,
      port: listener.port,
      secureContext: context,
      session: offered,
      ...NAMELESS,
    });
    await once(again, 'secureConnect');
    await until(() => listener.accepted.length === 2);
    expect([again.isSessionReused(), listener.accepted[1]?.socket.isSessionReused()]).toEqual([false, false]);
    for (const socket of [first.socket, again]) socket.destroy();
    for (const { socket } of listener.accepted.splice(0)) socket.destroy();
  });

  test('a handshake takes at most 18 kB each way', async () => {
    const wire = await countingRelay(listener.port);
    const { socket } = await dial(`${LOOPBACK}:${wire.port}`, rome, 'oslo');
    await until(() => listener.accepted.length === 1);
    const arrived = once(socket.resume(), 'data');
    listener.accepted[0]?.socket.write('after everything that the handshake sends');
    await arrived;
    expect(Math.min(wire.sent.forward, wire.sent.backward)).toBeGreaterThan(5_000);
    expect(Math.max(wire.sent.forward, wire.sent.backward)).toBeLessThanOrEqual(18_000);
    socket.destroy();
    wire.close();
  });

  test('a peer that closes, and an address that is none, have their codes', async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, LOOPBACK);
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await expect(dial(`${LOOPBACK}:${port}`, rome, 'oslo')).rejects.toBeInstanceOf(HandshakeError);
    server.close();
    await once(server, 'close');
    await expect(dial(`${LOOPBACK}:${port}`, rome, 'oslo')).rejects.toMatchObject({ code: 'DIAL_FAILED' });
    await expect(dial('nowhere', rome, 'oslo')).rejects.toMatchObject({ code: 'ADDRESS_MALFORMED' });
  });
});

async function countingRelay(port: number): Promise<{
  readonly port: number;
  readonly sent: { forward: number; backward: number };
  close(): void;
}> {
  const sent = { forward: 0, backward: 0 };
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    void connectRaw(port).then((far) => {
      sockets.push(near, far);
      near.on('data', (chunk: Buffer) => {
        sent.forward += chunk.byteLength;
        far.write(chunk);
      });
      far.on('data', (chunk: Buffer) => {
        sent.backward += chunk.byteLength;
        near.write(chunk);
      });
    });
  });
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    sent,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
