import { fastify, LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { randomUUID } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { Server as HttpsServer } from 'node:https';
import { TLSSocket } from 'node:tls';
import { Counters } from '#kernel/counters.ts';
import type { Result } from '#kernel/result.ts';
import type { PeerIdentity } from '#trust/identity.ts';
import { CodedError } from '#control/coded-error.ts';
import type { ControlPlane } from '#control/control-plane.ts';
import { parseNodeReport, REPORT_LIMIT_BYTES } from '#control/report.ts';
import { addressBlock } from '#io/control-https/address-block.ts';
import { FailureLimiter } from '#io/control-https/failure-limiter.ts';
import { MemberCap } from '#io/control-https/member-cap.ts';
import { NodeHub } from '#io/control-https/node-hub.ts';
import { identifyForRenewal, identifyNode } from '#io/control-https/peer.ts';
import type { PeerRefusal, PeerTrust } from '#io/control-https/peer.ts';
import { csrSchema, enrolSchema, replySchema } from '#io/control-https/schemas.ts';
import type { CsrBody, EnrolBody, ReplyBody } from '#io/control-https/schemas.ts';
import { REPLY_LIMIT_BYTES } from '#io/control-https/session-lines.ts';
import { StrangerCap } from '#io/control-https/stranger-cap.ts';
import { postQuantumTls } from '#io/control-https/tls-options.ts';
import { demandOk, ENVELOPE_OPTIONS, quietLog, useErrorEnvelope } from '#io/http-fastify/api-error.ts';
import { toSpiffeBundle } from '#io/x509-peculiar/bundle.ts';
import { toPem } from '#io/x509-asn1/chain.ts';

/** The control plane's own SVID; the chain is presented down from it. */
export interface ServerCredentials {
  readonly certificateDer: Uint8Array;
  readonly privateKey: KeyObject;
}

export interface ControlServerOptions {
  readonly control: ControlPlane;
  readonly trustDomain: string;
  readonly issuers: readonly Uint8Array[];
  readonly roots: readonly Uint8Array[];
  readonly credentials: ServerCredentials;
  readonly log: FastifyBaseLogger;
  readonly nowMs: () => number;
  readonly wallMs: () => number;
  /** Not all nodes know this replica's issuer yet, so it takes none; never by default. */
  readonly isPending?: () => boolean;
  /** Somebody at `address` was not admitted; `block` is what it shares with its neighbours. */
  readonly onRefused?: (refused: EnrolRefusal) => Promise<void>;
}

export interface EnrolRefusal {
  readonly block: string;
  readonly address: string;
  readonly code: string;
}

/** A certificate request in base64 is about 7.3 kB; reports have a limit of their own. */
const BODY_LIMIT_BYTES = 64 * 1024;
const HANDSHAKE_LIMIT_MS = 5_000;
const REQUEST_LIMIT_MS = 10_000;

/** The nodes' side of the control plane: enrolment without a certificate, everything else with a member's SVID. */
export class ControlServer {
  readonly hub: NodeHub;
  /** Refused requests by code. */
  readonly refused = new Counters();
  readonly #server: FastifyInstance;
  readonly #https: HttpsServer;
  readonly #options: ControlServerOptions;
  readonly #trust: PeerTrust;
  readonly #failures = new FailureLimiter();
  readonly #strangers: StrangerCap;
  readonly #members = new MemberCap();

  constructor(options: ControlServerOptions) {
    this.#options = options;
    const { control, trustDomain, issuers, wallMs, nowMs } = options;
    this.#trust = { trustDomain, issuers, wallMs, isRevoked: (id) => control.publisher.revocations.isRevoked(id) };
    this.hub = new NodeHub({ board: control.board, current: () => control.publisher.current, nowMs, wallMs });
    control.onPublished(() => {
      this.hub.publish();
      this.hub.dropWhere((id) => control.publisher.revocations.isRevoked(id));
    });
    this.#https = new HttpsServer({ ...tlsOf(options), ...LIMITS });
    this.#strangers = new StrangerCap(this.#https, (socket) => this.#isMember(socket), nowMs);
    this.#server = fastify({
      serverFactory: (handler) => this.#https.on('request', handler),
      loggerInstance: quietLog(options.log),
      logController: new LogController({ disableRequestLogging: true }),
      bodyLimit: BODY_LIMIT_BYTES,
      ...ENVELOPE_OPTIONS,
      genReqId: () => randomUUID(),
      ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
    });
    useErrorEnvelope(this.#server, this.refused);
    this.#routeStrangers();
    this.#routeMembers();
  }

  get strangers(): StrangerCap {
    return this.#strangers;
  }

  /** Listens; port 0 takes any. Rejects with the system's error when it cannot. */
  async listen(host: string, port: number): Promise<number> {
    await this.#server.listen({ host, port });
    const address = this.#https.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  /** Presents a renewed SVID to connections from now on. */
  setCredentials(credentials: ServerCredentials): void {
    this.#https.setSecureContext(tlsOf({ ...this.#options, credentials }));
  }

  async close(): Promise<void> {
    this.hub.close();
    this.#https.closeAllConnections();
    await this.#server.close();
  }

  #routeStrangers(): void {
    const { trustDomain, roots, control } = this.#options;
    const rootTexts = roots.map((it) => it.toBase64());
    this.#server.get('/v1/ca', async () => ({ trustDomain, roots: rootTexts, issuers: this.#issuersText() }));
    this.#server.get('/v1/bundle', async () => toSpiffeBundle(roots, control.publisher.current?.header.version ?? 0));
    this.#server.post<{ Body: EnrolBody }>('/v1/enrol', { schema: { body: enrolSchema } }, async (request, reply) => {
      return reply.code(201).send(await this.#enrol(request.ip, request.body));
    });
  }

  #routeMembers(): void {
    const { control } = this.#options;
    this.#server.post<{ Body: CsrBody }>('/v1/renew', { schema: { body: csrSchema } }, async (request) => {
      const identity = demandPeer(identifyForRenewal(socketOf(request), this.#trust));
      this.#demandReady();
      const certificate = demandOk(await control.renew(identity, Buffer.from(request.body.csr, 'base64')));
      return { certificate: certificate.der.toBase64(), issuers: this.#issuersText() };
    });
    this.#server.get('/v1/session', async (request, reply) => this.#openSession(request, reply));
    // Only a member may send as much as a report or an answer is.
    const onRequest = async (request: FastifyRequest): Promise<void> => void this.#identify(request);
    this.#server.post('/v1/report', { bodyLimit: REPORT_LIMIT_BYTES, onRequest }, async (request, reply) => {
      const identity = this.#identify(request);
      const report = parseNodeReport(request.body);
      if (report === undefined) throw new CodedError('REPORT_MALFORMED', 'this is not a node report');
      await control.handleReport(identity.name, report);
      return reply.code(204).send();
    });
    const replyRoute = { bodyLimit: REPLY_LIMIT_BYTES, onRequest, schema: { body: replySchema } };
    this.#server.post<{ Body: ReplyBody }>('/v1/reply', replyRoute, async (request, reply) => {
      const { id, ok, error } = request.body;
      this.hub.handleReply(this.#identify(request).name, id, ok, error);
      return reply.code(204).send();
    });
  }

  async #enrol(address: string, body: EnrolBody): Promise<unknown> {
    const { control, nowMs, roots, log } = this.#options;
    const block = addressBlock(address);
    if (this.#failures.isBlocked(block, nowMs())) {
      throw new CodedError('RATE_LIMITED', 'too many failed enrolments from this address; wait some seconds');
    }
    this.#demandReady();
    const addresses = body.addresses ?? [];
    const csr = Buffer.from(body.csr, 'base64');
    const admitted = await control.enrol({ token: body.token, csr, addresses });
    // Whoever waits asks again and again, and has a good token.
    if (!admitted.ok && admitted.error.code === 'JOIN_PENDING') return demandOk(admitted);
    if (!admitted.ok) {
      this.#failures.handleFailure(block, nowMs());
      const { code } = admitted.error;
      log.warn({ code, address }, 'an enrolment was refused');
      await this.#options.onRefused?.({ block, address, code });
      return demandOk(admitted);
    }
    const { certificate, grant, spiffeId } = admitted.value;
    log.info({ node: grant.node, serial: certificate.serial }, 'a node was admitted');
    return {
      certificate: certificate.der.toBase64(),
      issuers: this.#issuersText(),
      roots: roots.map((it) => it.toBase64()),
      node: { name: grant.node, spiffeId, relay: grant.relay, labels: grant.labels, links: grant.links },
    };
  }

  #isMember(socket: TLSSocket): boolean {
    const identified = identifyNode(socket, this.#trust);
    if (identified.ok) this.#members.handleConnection(identified.value.spiffeId, socket);
    return identified.ok;
  }

  #openSession(request: FastifyRequest, reply: FastifyReply): void {
    const identity = this.#identify(request);
    this.#demandReady();
    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
    request.raw.socket.setNoDelay(true);
    this.hub.open(identity, reply.raw);
  }

  #identify(request: FastifyRequest): PeerIdentity {
    return demandPeer(identifyNode(socketOf(request), this.#trust));
  }

  /** What this replica signs now, some nodes would refuse; another one serves meanwhile. */
  #demandReady(): void {
    if (this.#options.isPending?.() === true)
      throw new CodedError(
        'ISSUER_PENDING',
        'this control plane is new, and the nodes are still told of it; ask another',
      );
  }

  #issuersText(): readonly string[] {
    return this.#options.issuers.map((issuer) => issuer.toBase64());
  }
}

const LIMITS = {
  requestCert: true,
  // Each route decides: enrolment needs no certificate, and a refusal can say why only after the handshake.
  rejectUnauthorized: false,
  handshakeTimeout: HANDSHAKE_LIMIT_MS,
  headersTimeout: REQUEST_LIMIT_MS,
  requestTimeout: REQUEST_LIMIT_MS,
  connectionsCheckingInterval: 2_000,
} as const;

/** createServer ignores allowPartialTrustChain, so the roots are anchors beside the issuers. */
function tlsOf(options: ControlServerOptions): object {
  const { certificateDer, privateKey } = options.credentials;
  return {
    ...postQuantumTls,
    ca: [...options.issuers, ...options.roots].map((der) => toPem(der)),
    cert: [certificateDer, ...options.issuers, ...options.roots].map((der) => toPem(der)).join(''),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  };
}

function socketOf(request: FastifyRequest): TLSSocket {
  const { socket } = request.raw;
  if (socket instanceof TLSSocket) return socket;
  throw new CodedError('CERT_MISSING', 'this needs mutual TLS');
}

function demandPeer(identified: Result<PeerIdentity, PeerRefusal>): PeerIdentity {
  if (identified.ok) return identified.value;
  const why =
    identified.error === 'CERT_REVOKED'
      ? 'this identity was revoked, or its name was admitted again elsewhere; to join again, make a token with `x0 token create` and start the node with --join TOKEN'
      : 'this needs the valid certificate of a member, presented in the handshake';
  throw new CodedError(identified.error, why);
}
