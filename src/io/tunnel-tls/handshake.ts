import type { Duplex } from 'node:stream';
import { connect, type ConnectionOptions, TLSSocket, type TLSSocketOptions } from 'node:tls';
import { readLeafFacts } from '#io/x509-asn1/leaf-facts.ts';
import type { PeerIdentity } from '#trust/identity.ts';
import { checkPeerLeaf } from '#trust/leaf.ts';
import { GROUP, type TunnelCredentials } from './credentials.ts';

/** A transport whose peer proved who it is. Paused: nothing is read before the tunnel takes it. */
export interface SecuredTransport {
  readonly socket: TLSSocket;
  readonly peer: PeerIdentity;
  readonly group: string;
  /** When the certificate that this side presented ends, Unix milliseconds. */
  readonly ownNotAfterMs: number;
}

export interface HandshakeOptions {
  readonly credentials: TunnelCredentials;
  /** The one identity that is accepted; absent: any member. */
  readonly expectedSpiffeId?: string | undefined;
  readonly isRevoked: (identity: PeerIdentity) => boolean;
}

/** A handshake that came to nothing; `code` is in the error catalogue. */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** From the first byte to both certificates: a slow path of 500 ms needs about 2 s. */
export const HANDSHAKE_TIMEOUT_MS = 5_000;
/** Writes are gathered up to this before the transport is asked to wait. */
const HIGH_WATER_BYTES = 262_144;

/** Runs the client's side of TLS over `transport` and judges the peer. Rejects with {@link HandshakeError}. */
export function secureAsDialer(transport: Duplex, options: HandshakeOptions): Promise<SecuredTransport> {
  const settings: ConnectionOptions & { readonly highWaterMark: number } = {
    socket: transport,
    secureContext: options.credentials.context,
    // Judged below, by SPIFFE ID; the name that was dialled is not a DNS name.
    checkServerIdentity: () => undefined,
    rejectUnauthorized: true,
    highWaterMark: HIGH_WATER_BYTES,
  };
  const socket = connect(settings);
  return settle(socket, transport, 'secureConnect', () => judgeDialled(socket, options));
}

/** Runs the server's side of TLS over `transport` and judges the peer. Rejects with {@link HandshakeError}. */
export function secureAsAcceptor(transport: Duplex, options: HandshakeOptions): Promise<SecuredTransport> {
  const settings: TLSSocketOptions & { readonly highWaterMark: number } = {
    isServer: true,
    secureContext: options.credentials.context,
    requestCert: true,
    rejectUnauthorized: true,
    highWaterMark: HIGH_WATER_BYTES,
  };
  const socket = new TLSSocket(transport, settings);
  return settle(socket, transport, 'secure', () => judgeAccepted(socket, options));
}

function settle(
  socket: TLSSocket,
  transport: Duplex,
  event: 'secureConnect' | 'secure',
  judge: () => SecuredTransport,
): Promise<SecuredTransport> {
  return new Promise((resolve, reject) => {
    const finish = (act: () => void): void => {
      clearTimeout(timer);
      for (const [name, listener] of listeners) socket.off(name, listener);
      act();
    };
    const abandon = (error: Error): void =>
      finish(() => {
        socket.destroy();
        transport.destroy();
        reject(error);
      });
    const timer = setTimeout(
      () => abandon(new HandshakeError('HANDSHAKE_TIMEOUT', 'no handshake in time')),
      HANDSHAKE_TIMEOUT_MS,
    );
    const onError = (error: Error): void => abandon(handshakeError(error));
    const onClose = (): void => abandon(new HandshakeError('HANDSHAKE_CLOSED', 'closed during the handshake'));
    const onDone = (): void => {
      try {
        const secured = judge();
        finish(() => resolve(secured));
      } catch (error) {
        abandon(handshakeError(error));
      }
    };
    const listeners: readonly (readonly [string, (error: Error) => void])[] = [
      ['error', onError],
      ['_tlsError', onError],
      ['close', onClose],
      [event, onDone],
    ];
    for (const [name, listener] of listeners) socket.once(name, listener);
    // Stays: the transport may break before whoever gets the socket listens.
    socket.on('error', () => socket.destroy());
  });
}

function judgeDialled(socket: TLSSocket, options: HandshakeOptions): SecuredTransport {
  const ephemeral = socket.getEphemeralKeyInfo();
  const group = ephemeral !== null && 'name' in ephemeral ? ephemeral.name : undefined;
  if (group !== GROUP) throw new HandshakeError('TLS_GROUP', `key exchange ${String(group)} is not ${GROUP}`);
  return judge(socket, options);
}

function judgeAccepted(socket: TLSSocket, options: HandshakeOptions): SecuredTransport {
  const verdict = opensslVerdict(socket);
  if (verdict !== undefined) throw handshakeError(verdict);
  return judge(socket, options);
}

/** OpenSSL's judgement of the client's chain; only `tls.Server`, which cannot trust an issuer alone, has a public name for it. */
function opensslVerdict(socket: TLSSocket): Error | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  const verify: unknown =
    typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'verifyError') : undefined;
  if (typeof verify !== 'function')
    return new HandshakeError('TLS_UNVERIFIABLE', 'this runtime does not tell its verdict');
  const verdict: unknown = Reflect.apply(verify, handle, []);
  return verdict instanceof Error ? verdict : undefined;
}

function judge(socket: TLSSocket, options: HandshakeOptions): SecuredTransport {
  if (socket.getProtocol() !== 'TLSv1.3') throw new HandshakeError('TLS_VERSION', 'not TLS 1.3');
  if (socket.isSessionReused()) throw new HandshakeError('TLS_RESUMED', 'a resumed session proves no key');
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw new HandshakeError('CERT_MISSING', 'the peer presented no certificate');
  const { credentials } = options;
  // OpenSSL has built the chain already; this look does not depend on how its verdict reached us.
  const isIssued = credentials.issuers.some(
    (issuer) => certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey),
  );
  if (!isIssued) throw new HandshakeError('CERT_UNTRUSTED', 'the certificate is not of an issuer of this mesh');
  const facts = readLeafFacts(certificate.raw);
  if (!facts.ok) throw new HandshakeError(facts.error, 'the certificate cannot be read');
  const identity = checkPeerLeaf(facts.value, {
    trustDomain: credentials.identity.trustDomain,
    expectedSpiffeId: options.expectedSpiffeId,
    wallMs: Date.now(),
    isRevoked: options.isRevoked,
  });
  if (!identity.ok) throw new HandshakeError(identity.error, `the peer's certificate was refused: ${identity.error}`);
  socket.pause();
  return { socket, peer: identity.value, group: GROUP, ownNotAfterMs: credentials.notAfterMs };
}

/** OpenSSL's words, by the first that fits. */
const CODES: readonly (readonly [RegExp, string])[] = [
  [/has expired|CERT_HAS_EXPIRED|certificate expired/i, 'CERT_EXPIRED'],
  [/not yet valid|CERT_NOT_YET_VALID/i, 'CERT_NOT_YET_VALID'],
  [/did not return a certificate|PEER_DID_NOT_RETURN|certificate required|no peer certificate/i, 'CERT_MISSING'],
  [/permitted subtree|excluded subtree/i, 'CERT_WRONG_TRUST_DOMAIN'],
  [/unsupported protocol|protocol version|wrong version number|http request|https proxy request/i, 'TLS_VERSION'],
  [/no suitable key share|no shared group|NO_SUITABLE_GROUPS|bad key share/i, 'TLS_GROUP'],
  // A server's alert 40 (RFC 8446 §6.2) does not tell which of group, signature and certificate it lacked.
  [/alert handshake failure/i, 'TLS_NOTHING_IN_COMMON'],
  [/no suitable signature|no shared signature|signature algorithm|wrong signature type/i, 'TLS_SIGNATURE'],
  [
    /unable to|UNABLE_TO|self.signed|SELF_SIGNED|signature failure|issuer|unknown ca|CERT_UNTRUSTED|chain/i,
    'CERT_UNTRUSTED',
  ],
  [/purpose|INVALID_PURPOSE/i, 'CERT_EXTENDED_KEY_USAGE'],
  [/CA cert|INVALID_CA/i, 'CERT_IS_CA'],
];

function handshakeError(error: unknown): HandshakeError {
  if (error instanceof HandshakeError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const found = CODES.find(([pattern]) => pattern.test(message) || pattern.test(code));
  return new HandshakeError(found?.[1] ?? 'HANDSHAKE_FAILED', message);
}
