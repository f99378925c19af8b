import type { RandomSource } from '#kernel/random.ts';
import { ok } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';
import { nodeSpiffeId } from '#trust/identity.ts';
import type { PeerIdentity } from '#trust/identity.ts';
import { encodeJoinToken, parseJoinToken, TOKEN_SECRET_BYTES } from '#trust/token.ts';
import type { JoinToken } from '#trust/token.ts';
import { JOIN_REQUEST_LIMIT, type JoinJudgement, type JoinRequestStore } from '#control/join-requests.ts';
import { checkGrant, usableAddresses } from '#control/input.ts';
import {
  NODE_LIMIT,
  TOKEN_LIFE_DEFAULT_SECONDS,
  TOKEN_LIFE_LEAST_SECONDS,
  TOKEN_LIFE_MOST_SECONDS,
} from '#control/limits.ts';
import type { CertificatePort, HashPort, IssuedCertificate, ProvenRequest, WallClock } from '#control/ports.ts';
import { refuse } from '#control/refusal.ts';
import type { Refusal } from '#control/refusal.ts';
import type { ChangeAudit } from '#control/audit/audit.ts';
import type { ControlStore, IssuedSvid, NodeGrant, StoredToken, TakeRefusal } from '#control/store.ts';

export interface AdmissionPorts extends HashPort {
  readonly store: ControlStore;
  readonly certificates: CertificatePort;
  readonly random: RandomSource;
  readonly wallMs: WallClock;
  /** For what nodes do; what people do is recorded where they ask. */
  readonly audit?: ChangeAudit;
  /** Without it tokens that need an approval let nobody in. */
  readonly joinRequests?: JoinRequestStore;
}

export interface AdmissionOptions {
  readonly trustDomain: string;
  readonly rootSha256: Uint8Array;
}

export interface TokenRequest {
  readonly node: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly relay?: boolean;
  readonly links?: readonly string[] | null;
  readonly ttlSeconds?: number;
  /** Its node waits until a person lets it in. */
  readonly needsApproval?: boolean;
  /** Where the enrolment port answers, as the token will say. */
  readonly addresses: readonly string[];
}

export interface CreatedToken {
  /** The only time the secret is seen. */
  readonly token: string;
  readonly id: string;
  readonly node: string;
  readonly expiresAtMs: number;
}

export interface EnrolRequest {
  readonly token: string;
  readonly csr: Uint8Array;
  /** What the node advertises; it can name where to dial it, never who it is. */
  readonly addresses?: readonly string[];
}

export interface Admitted {
  readonly certificate: IssuedCertificate;
  readonly grant: NodeGrant;
  readonly spiffeId: string;
}

const TOKEN_MESSAGES = {
  TOKEN_GARBLED: 'this is not a join token',
  TOKEN_UNKNOWN_VERSION: 'this join token is of a newer version; use the x0 of the control plane',
  TOKEN_UNKNOWN: 'the control plane does not know this join token',
  TOKEN_USED: 'this join token was used',
  TOKEN_EXPIRED: 'this join token has expired',
  TOKEN_WRONG_NODE: 'this join token is for another node',
} as const;

const JOIN_REFUSALS = {
  waiting: ['JOIN_PENDING', 'an operator is to let this node in: `x0 node requests` lists it'],
  denied: ['JOIN_DENIED', 'an operator denied this node; a new token is a new request'],
  other: ['TOKEN_USED', TOKEN_MESSAGES.TOKEN_USED],
  full: ['LIMIT_REACHED', `${JOIN_REQUEST_LIMIT} nodes wait already`],
} as const;

/** Decides who becomes a member: makes join tokens, spends each once, and renews identities that are not revoked. */
export class Admission {
  readonly #ports: AdmissionPorts;
  readonly #options: AdmissionOptions;
  /** Tokens for which an SVID is being signed; no more than there are requests under way. */
  readonly #spending = new Set<string>();

  constructor(ports: AdmissionPorts, options: AdmissionOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  async createToken(request: TokenRequest): Promise<Result<CreatedToken, Refusal>> {
    const ttlSeconds = request.ttlSeconds ?? TOKEN_LIFE_DEFAULT_SECONDS;
    if (!(ttlSeconds >= TOKEN_LIFE_LEAST_SECONDS && ttlSeconds <= TOKEN_LIFE_MOST_SECONDS)) {
      return refuse('TTL_INVALID', `a token lives ${TOKEN_LIFE_LEAST_SECONDS} to ${TOKEN_LIFE_MOST_SECONDS} seconds`);
    }
    const grant = checkGrant({
      node: request.node,
      relay: request.relay ?? false,
      labels: request.labels ?? {},
      links: request.links ?? null,
    });
    if (!grant.ok) return grant;
    const { random, store, wallMs } = this.#ports;
    const [id, secret] = [random.bytes(8).toHex(), random.bytes(TOKEN_SECRET_BYTES)];
    const [createdAtMs, secretHash] = [wallMs(), this.#hashOf(secret)];
    const expiresAtMs = createdAtMs + ttlSeconds * 1000;
    await store.putToken({
      ...grant.value,
      id,
      secretHash,
      createdAtMs,
      expiresAtMs,
      usedAtMs: null,
      needsApproval: request.needsApproval ?? false,
    });
    const { trustDomain, rootSha256 } = this.#options;
    const { node } = grant.value;
    const token = encodeJoinToken({ id, secret, node, addresses: request.addresses, rootSha256, trustDomain });
    return ok({ token, id, node, expiresAtMs });
  }

  /** Spends a token for one SVID. The cheap checks come first; the atomic one decides. */
  async enrol(request: EnrolRequest): Promise<Result<Admitted, Refusal>> {
    const parsed = parseJoinToken(request.token);
    if (!parsed.ok) return refuse(parsed.error, TOKEN_MESSAGES[parsed.error]);
    const early = await this.#judge(parsed.value);
    if (!early.ok) return early;
    const proven = await this.#ports.certificates.openRequest(request.csr);
    if (!proven.ok) return refuse(proven.error, 'the certificate request does not prove an ML-DSA-65 key');
    const { id } = early.value;
    const refused =
      early.value.needsApproval === true ? await this.#judgeApproval(early.value, proven.value, request) : undefined;
    if (refused !== undefined) return refused;
    // Of many at once one is signed for; the others would be refused by the store anyway.
    if (this.#spending.has(id)) return refuse('TOKEN_USED', TOKEN_MESSAGES.TOKEN_USED);
    this.#spending.add(id);
    try {
      return await this.#spend(parsed.value, proven.value, usableAddresses(request.addresses ?? []));
    } finally {
      this.#spending.delete(id);
    }
  }

  /** Undefined when a person let the node in. */
  async #judgeApproval(
    token: StoredToken,
    { keyHash }: ProvenRequest,
    { addresses = [] }: EnrolRequest,
  ): Promise<{ readonly ok: false; readonly error: Refusal } | undefined> {
    const { joinRequests, wallMs, audit } = this.#ports;
    if (joinRequests === undefined) return refuse('JOIN_DENIED', 'this control plane lets nobody in by hand');
    const { id, node, expiresAtMs } = token;
    const askedAtMs = wallMs();
    const request = { id, node, keyHash, addresses: usableAddresses(addresses), askedAtMs, expiresAtMs };
    const ask = async (): Promise<JoinJudgement> => joinRequests.ask(request, askedAtMs, JOIN_REQUEST_LIMIT);
    const note = {
      actor: `node:${node}`,
      action: 'nodes:ask',
      target: `/join-requests/${id}`,
      outcome: 'done',
      detail: { keyHash },
    } as const;
    const { state } = audit === undefined ? await ask() : await audit.follow(note, ask, () => false);
    if (state === 'approved') return undefined;
    const [code, message] = JOIN_REFUSALS[state];
    return refuse(code, message);
  }

  /** Token, node and SVID are stored in one step: a crash before it spends nothing, one after it loses only the answer. */
  async #spend(
    token: JoinToken,
    proven: ProvenRequest,
    addresses: readonly string[],
  ): Promise<Result<Admitted, Refusal>> {
    const stored = await this.#judge(token);
    if (!stored.ok) return stored;
    const { svid, certificate } = await this.#sign(proven, stored.value.node);
    const { store, wallMs } = this.#ports;
    const take = async (): Promise<StoredToken | TakeRefusal> =>
      store.takeToken(token.id, this.#hashOf(token.secret), wallMs(), { svid, addresses });
    const taken = await this.#noted('nodes:enrol', svid, take);
    if (typeof taken === 'string') return refuse(taken, TOKEN_MESSAGES[taken]);
    return ok({ certificate, grant: grantOf(taken), spiffeId: svid.spiffeId });
  }

  /** A new SVID for a member that proved its old one, unless the name is unknown or revoked. */
  async renew(identity: PeerIdentity, csr: Uint8Array): Promise<Result<IssuedCertificate, Refusal>> {
    const node = await this.#ports.store.findNode(identity.name);
    if (node === undefined) return refuse('NODE_UNKNOWN', 'the control plane does not know this node; use a new token');
    if (node.revoked) return refuse('NODE_REVOKED', 'this node was revoked; only a new token admits it again');
    const proven = await this.#ports.certificates.openRequest(csr);
    if (!proven.ok) return refuse(proven.error, 'the certificate request does not prove an ML-DSA-65 key');
    const { svid, certificate } = await this.#sign(proven.value, identity.name);
    const isRenewed = await this.#noted('nodes:renew', svid, async () => this.#ports.store.renewNode(svid));
    if (isRenewed) return ok(certificate);
    return refuse('NODE_REVOKED', 'this node was revoked; only a new token admits it again');
  }

  async #judge(token: JoinToken): Promise<Result<StoredToken, Refusal>> {
    const { store, wallMs } = this.#ports;
    const stored = await store.findToken(token.id);
    if (stored === undefined || stored.secretHash !== this.#hashOf(token.secret)) {
      return refuse('TOKEN_UNKNOWN', TOKEN_MESSAGES.TOKEN_UNKNOWN);
    }
    if (stored.node !== token.node) return refuse('TOKEN_WRONG_NODE', TOKEN_MESSAGES.TOKEN_WRONG_NODE);
    if (stored.usedAtMs !== null) return refuse('TOKEN_USED', TOKEN_MESSAGES.TOKEN_USED);
    if (stored.expiresAtMs <= wallMs()) return refuse('TOKEN_EXPIRED', TOKEN_MESSAGES.TOKEN_EXPIRED);
    const full = (await store.countNodes()) >= NODE_LIMIT && (await store.findNode(stored.node)) === undefined;
    return full ? refuse('LIMIT_REACHED', `this control plane admits ${NODE_LIMIT} nodes`) : ok(stored);
  }

  async #sign(request: ProvenRequest, node: string): Promise<{ svid: IssuedSvid; certificate: IssuedCertificate }> {
    const spiffeId = nodeSpiffeId(this.#options.trustDomain, node);
    const issuedAtMs = this.#ports.wallMs();
    const certificate = await request.sign(spiffeId, node, issuedAtMs);
    const { serial, notAfterMs } = certificate;
    return { certificate, svid: { node, spiffeId, serial, notAfterMs, issuedAtMs } };
  }

  /** False and a code say that nothing was done. */
  async #noted<T>(action: string, { node, serial }: IssuedSvid, work: () => Promise<T>): Promise<T> {
    const { audit } = this.#ports;
    if (audit === undefined) return await work();
    const note = {
      actor: `node:${node}`,
      action,
      target: `/nodes/${node}`,
      outcome: 'done',
      detail: { serial },
    } as const;
    return await audit.follow(note, work, (value) => value !== false && typeof value !== 'string');
  }

  #hashOf(secret: Uint8Array): string {
    return this.#ports.sha256(secret).toHex();
  }
}

function grantOf(token: StoredToken): NodeGrant {
  return { node: token.node, relay: token.relay, labels: token.labels, links: token.links };
}
