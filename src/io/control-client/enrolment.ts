import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:tls';
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import { bytesEqual } from '#kernel/bytes.ts';
import { nodeSpiffeId } from '#trust/identity.ts';
import { checkPeerLeaf } from '#trust/leaf.ts';
import { readArray, readBoolean, readRecord, readShape, readText } from '#trust/read.ts';
import { parseJoinToken } from '#trust/token.ts';
import type { JoinToken } from '#trust/token.ts';
import { CodedError } from '#control/coded-error.ts';
import type { NodeGrant } from '#control/store.ts';
import { ControlChannel } from '#io/control-client/control-channel.ts';
import { readBase64 } from '#io/control-https/session-lines.ts';
import { postQuantumTls } from '#io/control-https/tls-options.ts';
import { parseHostPort } from '#io/edge-listener/host-port.ts';
import { describeCertificate } from '#io/x509-asn1/certificate.ts';
import type { Certificate } from '#io/x509-asn1/certificate.ts';
import { certifiedIssuers, isIssuedBy } from '#io/x509-asn1/chain.ts';
import { generateKeyPair } from '#io/x509-asn1/keys.ts';
import type { KeyPair } from '#io/x509-asn1/keys.ts';
import { readLeafFacts } from '#io/x509-asn1/leaf-facts.ts';
import { createCsr } from '#io/x509-asn1/request.ts';
import { sha256Bytes } from '#io/x509-asn1/snapshot-verifier.ts';

export interface EnrolmentRequest {
  /** The token's text. */
  readonly token: string;
  /** Where others can dial this node. */
  readonly addresses?: readonly string[];
  /** Instead of the token's own, when the control plane has moved. */
  readonly controlAddresses?: readonly string[];
  /** The key that is to be certified; a new one unless given. */
  readonly keys?: KeyPair;
}

/** All that a node keeps of its admission. */
export interface Enrolment {
  readonly name: string;
  readonly spiffeId: string;
  readonly trustDomain: string;
  readonly controlAddresses: readonly string[];
  readonly keys: KeyPair;
  readonly certificate: Certificate;
  /** DER. */
  readonly issuers: readonly Uint8Array[];
  /** DER; the pinned one. */
  readonly roots: readonly Uint8Array[];
  readonly grant: NodeGrant;
}

const CONNECT_LIMIT_MS = 10_000;
/** Leaf, issuer, root, and one more. */
const CHAIN_LIMIT = 4;

/**
 * Joins the mesh: pins the root by the token's fingerprint, makes a key, and spends the token for its SVID. Fails with the
 * control plane's code (`TOKEN_*`, …), CONTROL_UNREACHABLE, ROOT_MISMATCH or CONTROL_UNTRUSTED; only the first is worth
 * another try.
 */
export async function enrolNode(request: EnrolmentRequest): Promise<Enrolment> {
  const parsed = parseJoinToken(request.token.trim());
  if (!parsed.ok) throw new CodedError(parsed.error, 'this is not a join token of this version of x0');
  const token = parsed.value;
  const controlAddresses = request.controlAddresses ?? token.addresses;
  const root = await fetchPinnedRoot(controlAddresses, token.rootSha256);
  const { trustDomain } = token;
  const channel = new ControlChannel({ addresses: controlAddresses, trustDomain, roots: [root], wallMs: Date.now });
  try {
    const keys = request.keys ?? generateKeyPair('ml-dsa-65');
    const body = {
      token: request.token.trim(),
      csr: createCsr(keys).toBase64(),
      addresses: request.addresses ?? [],
    };
    const answer = readShape(await channel.ask('POST', '/v1/enrol', body), readAnswer);
    if (answer === undefined) throw new CodedError('CONTROL_ANSWER', 'the control plane answered in another shape');
    const issuers = checkAnswer(answer, token, root, keys);
    const { node: name } = token;
    const spiffeId = nodeSpiffeId(trustDomain, name);
    const certificate = describeCertificate(answer.certificate);
    const { grant } = answer;
    return { name, spiffeId, trustDomain, controlAddresses, keys, certificate, issuers, roots: [root], grant };
  } finally {
    channel.close();
  }
}

/**
 * The root that the token's fingerprint names, from whichever address shows it. Nothing is sent on these connections and
 * nothing else that they show is believed.
 */
async function fetchPinnedRoot(addresses: readonly string[], rootSha256: Uint8Array): Promise<Uint8Array> {
  let failure = new CodedError('CONTROL_UNREACHABLE', 'the token names no control plane address');
  for (const address of addresses) {
    try {
      const chain = await fetchChain(address);
      const root = chain.find((der) => bytesEqual(sha256Bytes(der), rootSha256));
      if (root !== undefined) return root;
      failure = new CodedError('ROOT_MISMATCH', `${address} is not the control plane that made this token`);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const message = `control plane at ${address}: ${error.message}`;
      failure = new CodedError('CONTROL_UNREACHABLE', message, { cause: error });
    }
  }
  throw failure;
}

async function fetchChain(address: string): Promise<readonly Uint8Array[]> {
  const target = parseHostPort(address);
  if (target === undefined) throw new CodedError('CONTROL_UNREACHABLE', 'not an address');
  const socket = connect({ ...target, ...postQuantumTls, rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(CONNECT_LIMIT_MS) });
    return chainOf(socket);
  } finally {
    socket.on('error', () => undefined);
    socket.destroy();
  }
}

function chainOf(socket: TLSSocket): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (next?.raw !== undefined && chain.length < CHAIN_LIMIT) {
    chain.push(new Uint8Array(next.raw));
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  return chain;
}

interface EnrolmentAnswer {
  readonly certificate: Uint8Array;
  readonly issuers: readonly Uint8Array[];
  readonly grant: NodeGrant;
}

function readAnswer(value: unknown): EnrolmentAnswer {
  const record = readRecord(value);
  const node = readRecord(record['node']);
  const labels = Object.entries(readRecord(node['labels']));
  const links = node['links'];
  return {
    certificate: readBase64(record['certificate']),
    issuers: readArray(record['issuers'], 16, readBase64),
    grant: {
      node: readText(node['name'], 63),
      relay: readBoolean(node['relay']),
      labels: Object.fromEntries(labels.map(([key, label]) => [readText(key, 128), readText(label, 128)])),
      links: links === null ? null : readArray(links, 1_024, (link) => readText(link, 63)),
    },
  };
}

/** Even an authenticated control plane must have issued what was asked for. */
function checkAnswer(
  answer: EnrolmentAnswer,
  token: JoinToken,
  root: Uint8Array,
  keys: KeyPair,
): readonly Uint8Array[] {
  const wallMs = Date.now();
  const issuers = certifiedIssuers(answer.issuers, [root], wallMs);
  if (answer.grant.node !== token.node) throw new CodedError('CONTROL_ANSWER', 'the grant is for another node');
  checkOwnCertificate(answer.certificate, issuers, { keys, name: token.node, trustDomain: token.trustDomain, wallMs });
  return issuers;
}

/** Throws CONTROL_ANSWER unless `der` is a proper SVID of this node for its own key under `issuers`. */
export function checkOwnCertificate(
  der: Uint8Array,
  issuers: readonly Uint8Array[],
  own: { readonly keys: KeyPair; readonly name: string; readonly trustDomain: string; readonly wallMs: number },
): void {
  const { trustDomain, wallMs } = own;
  const facts = readLeafFacts(der);
  const expectedSpiffeId = nodeSpiffeId(trustDomain, own.name);
  const demand = { trustDomain, expectedSpiffeId, wallMs, isRevoked: () => false };
  const isProper = facts.ok && checkPeerLeaf(facts.value, demand).ok && isIssuedBy(der, issuers, wallMs);
  if (!isProper || !certifies(der, own.keys)) {
    throw new CodedError('CONTROL_ANSWER', 'the certificate from the control plane is not a valid SVID for this key');
  }
}

function certifies(der: Uint8Array, keys: KeyPair): boolean {
  return new X509Certificate(der).publicKey.equals(keys.publicKey);
}
