import type { Revocation } from '#trust/revocation.ts';
import type { SnapshotForward, SnapshotInstance } from '#trust/snapshot.ts';

/** What an operator decides about a node when making its token. */
export interface NodeGrant {
  readonly node: string;
  readonly relay: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** A fixed topology's neighbours; null for the automatic plan. */
  readonly links: readonly string[] | null;
}

/** A join token as kept: never its secret. Times are Unix epoch milliseconds. */
export interface StoredToken extends NodeGrant {
  readonly id: string;
  /** SHA-256 of the secret, lower-case hex. */
  readonly secretHash: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly usedAtMs: number | null;
  /** A person is to let its node in. */
  readonly needsApproval?: boolean;
}

export interface StoredNode extends NodeGrant {
  readonly spiffeId: string;
  readonly addresses: readonly string[];
  readonly admittedAtMs: number;
  /** True from its revocation until a new token admits the name again. */
  readonly revoked: boolean;
  readonly serial: string;
  readonly notAfterMs: number;
}

/** One SVID that was issued. */
export interface IssuedSvid {
  readonly node: string;
  readonly spiffeId: string;
  readonly serial: string;
  readonly notAfterMs: number;
  readonly issuedAtMs: number;
}

export interface StoredInstance extends SnapshotInstance {
  readonly service: string;
}

/** What a token is spent for. */
export interface Newcomer {
  readonly svid: IssuedSvid;
  readonly addresses: readonly string[];
}

export type TakeRefusal = 'TOKEN_UNKNOWN' | 'TOKEN_USED' | 'TOKEN_EXPIRED';

/**
 * What the control plane remembers. Every method is atomic and durable when its promise resolves; the conformance suite
 * in `tests/fixtures/control-store-suite.ts` is the specification.
 */
export interface ControlStore {
  putToken(token: StoredToken): Promise<void>;
  findToken(id: string): Promise<StoredToken | undefined>;
  /**
   * Marks the token used, or says why not; of many callers exactly one gets it. A wrong secret uses nothing up. With
   * `newcomer` its node is admitted in the same step, so that no crash leaves a used token and no node.
   */
  takeToken(id: string, secretHash: string, wallMs: number, newcomer?: Newcomer): Promise<StoredToken | TakeRefusal>;
  /** Adds or replaces the node, records its SVID and revokes every earlier SVID of the name. */
  admitNode(grant: NodeGrant, svid: IssuedSvid): Promise<void>;
  /** Records a renewed SVID; false (and nothing recorded) for a node that is unknown or revoked. */
  renewNode(svid: IssuedSvid): Promise<boolean>;
  findNode(name: string): Promise<StoredNode | undefined>;
  listNodes(): Promise<readonly StoredNode[]>;
  countNodes(): Promise<number>;
  setAddresses(name: string, addresses: readonly string[]): Promise<void>;
  /** Revokes every unexpired SVID of the name under one new epoch; false for an unknown name. */
  revokeNode(name: string, wallMs: number): Promise<boolean>;
  /** Revokes as above, then forgets the node, its instances and forwards; its tokens stay used. */
  deleteNode(name: string, wallMs: number): Promise<boolean>;
  /** Revoked SVIDs that have not expired by `wallMs`. */
  listRevocations(wallMs: number): Promise<readonly Revocation[]>;
  putInstance(instance: StoredInstance): Promise<void>;
  deleteInstance(service: string, node: string): Promise<boolean>;
  listInstances(): Promise<readonly StoredInstance[]>;
  putForward(forward: SnapshotForward): Promise<void>;
  deleteForward(node: string, service: string): Promise<boolean>;
  listForwards(): Promise<readonly SnapshotForward[]>;
  /** Of the last snapshot; 0 before the first. */
  lastVersion(): Promise<number>;
  /**
   * The version of the snapshot whose body has this hash: the last one when the hash is the last one's, else one more. With
   * `basis`, the last version before the body was read, undefined when another replica made a version meanwhile: what was
   * read may be older than that, and must be read again.
   */
  snapshotVersion(bodyHash: string, basis?: number): Promise<number | undefined>;
}
