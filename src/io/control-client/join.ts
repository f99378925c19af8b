import { setTimeout as sleep } from 'node:timers/promises';
import { bytesEqual } from '#kernel/bytes.ts';
import { parseJoinToken } from '#trust/token.ts';
import type { JoinToken } from '#trust/token.ts';
import { CodedError } from '#control/coded-error.ts';
import { BackOff } from '#io/control-client/back-off.ts';
import { enrolNode } from '#io/control-client/enrolment.ts';
import { loadIdentity, saveIdentity } from '#io/files-node/identity-files.ts';
import type { StoredIdentity } from '#io/files-node/identity-files.ts';
import { forgetPendingKey, loadPendingKey, savePendingKey } from '#io/files-node/pending-key.ts';
import { ensurePrivateDirectory } from '#io/files-node/private-files.ts';
import { systemRandom } from '#io/random-node/system-random.ts';
import { generateKeyPair, keyHashOf, type KeyPair } from '#io/x509-asn1/keys.ts';
import { sha256Bytes } from '#io/x509-asn1/snapshot-verifier.ts';

export interface JoinRequest {
  /** Private to this node. */
  readonly dataDir: string;
  readonly token: string | undefined;
  /** Where others can dial this node. */
  readonly addresses: readonly string[];
  /** Where the control plane answers now, if it moved. */
  readonly controlAddress: string | undefined;
  /** A control plane that is away is waited for; this says so, once a try. */
  readonly onRetry: (error: CodedError) => void;
  readonly signal: AbortSignal;
}

/**
 * The node's identity: the stored one, or a new one for a token that was not used here before. Waits for a control plane
 * that is away. Fails with JOIN_NEEDED without either, IDENTITY_DIFFERS for a token of another node or mesh, or as
 * `enrolNode` does.
 */
export async function joinMesh(request: JoinRequest): Promise<StoredIdentity> {
  ensurePrivateDirectory(request.dataDir);
  const stored = moved(loadIdentity(request.dataDir), request.controlAddress);
  if (request.token === undefined) {
    if (stored !== undefined) return stored;
    throw new CodedError('JOIN_NEEDED', 'this node has no identity yet; give it a join token');
  }
  const parsed = parseJoinToken(request.token.trim());
  if (!parsed.ok) throw new CodedError(parsed.error, 'this is not a join token of this version of x0');
  if (stored?.tokenId === parsed.value.id) return stored;
  if (stored !== undefined) demandSameNode(stored, parsed.value, request.dataDir);
  const keys = loadPendingKey(request.dataDir, parsed.value.id) ?? generateKeyPair('ml-dsa-65');
  const identity = { ...(await enrolPatiently(request, request.token, keys)), tokenId: parsed.value.id };
  saveIdentity(request.dataDir, identity);
  forgetPendingKey(request.dataDir);
  return identity;
}

/** A token for the node that lives here replaces its identity; one for another would destroy it. */
function demandSameNode(stored: StoredIdentity, token: JoinToken, dataDir: string): void {
  const isSameMesh =
    stored.trustDomain === token.trustDomain &&
    stored.roots.some((root) => bytesEqual(sha256Bytes(root), token.rootSha256));
  if (isSameMesh && stored.name === token.node) return;
  const holds = `${dataDir} holds the identity of the node ${stored.name}`;
  const why = isSameMesh
    ? `${holds}, and this token is for ${token.node}`
    : `${holds} of another mesh (${stored.trustDomain})`;
  throw new CodedError('IDENTITY_DIFFERS', why);
}

function moved(stored: StoredIdentity | undefined, address: string | undefined): StoredIdentity | undefined {
  return stored === undefined || address === undefined ? stored : { ...stored, controlAddresses: [address] };
}

async function enrolPatiently(request: JoinRequest, token: string, keys: KeyPair): ReturnType<typeof enrolNode> {
  const backOff = new BackOff(systemRandom);
  const { addresses, controlAddress, signal, onRetry } = request;
  const elsewhere = controlAddress === undefined ? {} : { controlAddresses: [controlAddress] };
  let isPending = false;
  for (;;) {
    let waitMs = backOff.nextMs();
    try {
      return await enrolNode({ token, addresses, keys, ...elsewhere });
    } catch (error) {
      if (!(error instanceof CodedError) || !isPassing(error.code)) throw error;
      if (error.code !== 'JOIN_PENDING') onRetry(error);
      else {
        if (!isPending) onRetry(pendingError(request.dataDir, token, keys));
        isPending = true;
        waitMs = PENDING_MS;
      }
    }
    await sleep(waitMs, undefined, { signal });
  }
}

/** How often a node asks whether somebody let it in. */
const PENDING_MS = 2_000;

/** The request belongs to this key, so it is kept: the node may be started again while it waits. */
function pendingError(dataDir: string, token: string, keys: KeyPair): CodedError {
  const parsed = parseJoinToken(token.trim());
  if (parsed.ok) savePendingKey(dataDir, parsed.value.id, keys);
  const name = parsed.ok ? parsed.value.node : '';
  const key = keyHashOf(keys.publicKey);
  return new CodedError(
    'JOIN_PENDING',
    `${name} waits until an operator lets it in: \`x0 node approve ${name}\`, if its key there is ${key}`,
  );
}

const PASSING: ReadonlySet<string> = new Set([
  'CONTROL_UNREACHABLE',
  'ISSUER_PENDING',
  'JOIN_PENDING',
  'RATE_LIMITED',
  'INTERNAL',
  'DISK_FULL',
  'DATABASE_DOWN',
  'DATABASE_TIMEOUT',
  'DATABASE_BUSY',
]);

/** A lost answer may have spent the token: the next try then says TOKEN_USED, which is final. */
function isPassing(code: string): boolean {
  return PASSING.has(code);
}
