import { Agent, request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { KeyObject } from 'node:crypto';
import type { Socket } from 'node:net';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { codeOf } from '#kernel/code-of.ts';
import { checkPeerLeaf } from '#trust/leaf.ts';
import { CodedError } from '#control/coded-error.ts';
import { POST_QUANTUM_GROUP, postQuantumTls } from '#io/control-https/tls-options.ts';
import { parseHostPort } from '#io/edge-listener/host-port.ts';
import { toPem } from '#io/x509-asn1/chain.ts';
import { readLeafFacts } from '#io/x509-asn1/leaf-facts.ts';

/** What a node presents to the control plane. */
export interface NodeCredentials {
  readonly certificateDer: Uint8Array;
  readonly privateKey: KeyObject;
}

export interface ChannelOptions {
  /** `host:port` or `[v6]:port`, tried in turn. */
  readonly addresses: readonly string[];
  readonly trustDomain: string;
  /** DER; already pinned. */
  readonly roots: readonly Uint8Array[];
  readonly credentials?: NodeCredentials;
  readonly wallMs: () => number;
}

/** Another control plane may do what this one cannot. */
const ELSEWHERE: ReadonlySet<string> = new Set(['CONTROL_UNREACHABLE', 'ISSUER_PENDING', 'DATABASE_DOWN']);
const ANSWER_LIMIT_MS = 10_000;
/** Answers other than the session are small: certificates in base64. */
const ANSWER_LIMIT_BYTES = 256 * 1024;
/** The session, a report, a reply. */
const SOCKET_LIMIT = 3;

/**
 * Requests to the control plane over post-quantum mutual TLS. Only a certificate `spiffe://<trust domain>/control/*` under
 * the pinned root is believed. Fails with the server's code, or CONTROL_UNREACHABLE when no address answers.
 */
export class ControlChannel {
  readonly #options: ChannelOptions;
  readonly #agent: Agent;
  readonly #watched = new WeakSet<Socket>();
  #preferred = 0;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.#agent = new Agent({ keepAlive: true, maxSockets: SOCKET_LIMIT, maxCachedSessions: 0, ...tlsOf(options) });
  }

  /** Sends JSON and returns the answer's JSON. */
  async ask(method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown> {
    const response = await this.open(method, path, body, AbortSignal.timeout(ANSWER_LIMIT_MS));
    const content = await readAll(response);
    return content === '' ? undefined : parseAnswer(content);
  }

  /** The answer's headers have come and say success; its body is the caller's to read. */
  async open(method: 'GET' | 'POST', path: string, body: unknown, signal: AbortSignal): Promise<IncomingMessage> {
    const { addresses } = this.#options;
    let last: unknown;
    for (let tried = 0; tried < addresses.length; tried++) {
      const index = (this.#preferred + tried) % addresses.length;
      try {
        const response = await this.#send(addresses[index] ?? '', { method, path, body, signal });
        this.#preferred = index;
        return response;
      } catch (error) {
        if (error instanceof CodedError && !ELSEWHERE.has(error.code)) throw error;
        last = error;
      }
    }
    if (last instanceof CodedError && last.code !== 'CONTROL_UNREACHABLE') throw last;
    const why = last instanceof Error ? last.message : 'it has no address';
    throw new CodedError('CONTROL_UNREACHABLE', why, { cause: last });
  }

  close(): void {
    this.#agent.destroy();
  }

  async #send(address: string, question: Question): Promise<IncomingMessage> {
    const response = await this.#exchange(address, question);
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    throw refusalOf(status, await readAll(response));
  }

  #exchange(address: string, question: Question): Promise<IncomingMessage> {
    const target = parseHostPort(address);
    if (target === undefined) throw new CodedError('CONTROL_UNREACHABLE', `${address} is not an address`);
    const text = question.body === undefined ? undefined : JSON.stringify(question.body);
    const headers = text === undefined ? {} : { 'content-type': 'application/json' };
    const { method, path, signal } = question;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const sent = request({ ...target, method, path, headers, signal, agent: this.#agent });
    sent.once('socket', (socket) => {
      // A request that waited for a socket does not know that it is used again.
      if (this.#watched.has(socket)) return;
      this.#watched.add(socket);
      socket.once('secureConnect', () => assertGroup(socket as TLSSocket));
    });
    sent.once('response', resolve);
    sent.once('error', (error) => reject(unreachable(address, error)));
    sent.end(text);
    return promise;
  }
}

interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body: unknown;
  readonly signal: AbortSignal;
}

function tlsOf(options: ChannelOptions): object {
  const { credentials, roots } = options;
  const own =
    credentials === undefined
      ? {}
      : {
          cert: toPem(credentials.certificateDer),
          key: credentials.privateKey.export({ type: 'pkcs8', format: 'pem' }),
        };
  return {
    ...postQuantumTls,
    ...own,
    ca: roots.map((der) => toPem(der)),
    rejectUnauthorized: true,
    checkServerIdentity: (_host: string, certificate: PeerCertificate) => checkServer(certificate, options),
  };
}

/** Called by node:tls after OpenSSL has verified the chain; host names mean nothing here, identities do. */
function checkServer(certificate: PeerCertificate, options: ChannelOptions): Error | undefined {
  const facts = readLeafFacts(certificate.raw);
  if (!facts.ok) return new CodedError('CONTROL_UNTRUSTED', facts.error);
  const { trustDomain, wallMs } = options;
  const checked = checkPeerLeaf(facts.value, {
    trustDomain,
    role: 'control',
    wallMs: wallMs(),
    isRevoked: () => false,
  });
  return checked.ok
    ? undefined
    : new CodedError('CONTROL_UNTRUSTED', `the server is no control plane: ${checked.error}`);
}

function assertGroup(socket: TLSSocket): void {
  const key = socket.getEphemeralKeyInfo();
  const name = key !== null && 'name' in key ? key.name : undefined;
  if (name !== POST_QUANTUM_GROUP) socket.destroy(new CodedError('CONTROL_UNTRUSTED', 'the key exchange is classical'));
}

/** Certificate faults are final for this address; everything else may be a network that comes back. */
function unreachable(address: string, error: Error): CodedError {
  if (error instanceof CodedError) return error;
  const code = codeOf(error) ?? '';
  const isCertificate = /CERT|SIGNATURE|ISSUER|SELF_SIGNED/.test(code);
  const meaning = isCertificate ? 'CONTROL_UNTRUSTED' : 'CONTROL_UNREACHABLE';
  return new CodedError(meaning, `control plane at ${address}: ${error.message}`, { cause: error });
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.byteLength;
      if (length > ANSWER_LIMIT_BYTES) throw new CodedError('CONTROL_ANSWER', 'the control plane answered too much');
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw new CodedError('CONTROL_UNREACHABLE', 'the control plane went away', { cause: error });
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseAnswer(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    throw new CodedError('CONTROL_ANSWER', 'the control plane did not answer in JSON', { cause: error });
  }
}

/** Bad gateway, unavailable, gateway time-out: said by a server that is going or by a proxy before one that is away. */
const AWAY_STATUSES: ReadonlySet<number> = new Set([502, 503, 504]);

function refusalOf(status: number, content: string): CodedError {
  const refusal = readRefusal(status, content);
  const isAway = refusal.code === 'CONTROL_ANSWER' && AWAY_STATUSES.has(status);
  return isAway ? new CodedError('CONTROL_UNREACHABLE', refusal.message) : refusal;
}

function readRefusal(status: number, content: string): CodedError {
  const answer = parseAnswer(content);
  const envelope = typeof answer === 'object' && answer !== null && 'error' in answer ? answer.error : undefined;
  if (typeof envelope !== 'object' || envelope === null) {
    return new CodedError('CONTROL_ANSWER', `the control plane answered ${status}`);
  }
  const code = 'code' in envelope && typeof envelope.code === 'string' ? envelope.code : 'CONTROL_ANSWER';
  const message = 'message' in envelope && typeof envelope.message === 'string' ? envelope.message : `status ${status}`;
  return new CodedError(code, message);
}
