import { CodedError } from '#control/coded-error.ts';
import { bytesEqual } from '#kernel/bytes.ts';
import { POLICY_SCHEMA_VERSION } from '#trust/policy/schema.ts';
import { encodeSnapshotBody, SNAPSHOT_FORMAT, snapshotMessage } from '#trust/snapshot.ts';
import type {
  SnapshotBody,
  SnapshotHeader,
  SnapshotPolicy,
  SnapshotPosture,
  SnapshotService,
} from '#trust/snapshot.ts';
import { RevocationSet } from '#trust/revocation.ts';
import type { HashPort, SigningPort, WallClock } from '#control/ports.ts';
import type { ControlStore, StoredInstance } from '#control/store.ts';

/** A signed snapshot as it goes to nodes. */
export interface PublishedSnapshot {
  readonly header: SnapshotHeader;
  readonly body: Uint8Array;
  /** DER of the certificate that signed; its SHA-256 is the header's `signerHash`. */
  readonly signer: Uint8Array;
}

export interface PublisherPorts extends HashPort {
  readonly store: ControlStore;
  /** How nodes are; without it nothing is said of that. */
  readonly postures?: (names: readonly string[]) => Promise<ReadonlyMap<string, SnapshotPosture>>;
  /** What is allowed, in force now. */
  readonly policies: { statements(): Promise<readonly SnapshotPolicy[]> };
  /** Asked each time, because the control plane renews its own SVID. */
  readonly signer: () => SigningPort;
  readonly wallMs: WallClock;
}

export interface PublisherOptions {
  readonly trustDomain: string;
  readonly issuers: readonly Uint8Array[];
  readonly roots: readonly Uint8Array[];
}

/** A snapshot is signed again after this long, so that its age shows whether the control plane lives. */
/** Of replicas that publish at once one succeeds each time, so this is more than there are. */
const READ_LIMIT = 16;
export const RESIGN_AFTER_MS = 30_000;

/** Builds the snapshot from the store, numbers it by the store's version and signs it. */
export class SnapshotPublisher {
  readonly #ports: PublisherPorts;
  readonly #options: PublisherOptions;
  #current: PublishedSnapshot | undefined;
  #revocations = new RevocationSet([]);
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ports: PublisherPorts, options: PublisherOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  get current(): PublishedSnapshot | undefined {
    return this.#current;
  }

  /** What the last published snapshot revokes. */
  get revocations(): RevocationSet {
    return this.#revocations;
  }

  /** Reads the store anew; one call after another, so that versions and bodies keep their order. */
  async refresh(): Promise<PublishedSnapshot> {
    const mine = this.#turn.then(async () => this.#publish());
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #publish(): Promise<PublishedSnapshot> {
    const { wallMs, signer } = this.#ports;
    const { content, body, bodyHash, version } = await this.#read();
    this.#revocations = new RevocationSet(content.revocations);
    const known = this.#current;
    const fresh = known !== undefined && wallMs() - known.header.issuedAtMs < RESIGN_AFTER_MS;
    if (fresh && known.header.version === version && bytesEqual(known.header.bodyHash, bodyHash)) return known;
    const issuedAtMs = Math.max(wallMs(), (known?.header.issuedAtMs ?? 0) + 1);
    const port = signer();
    const signature = port.sign(snapshotMessage({ version, bodyHash, issuedAtMs }));
    const header: SnapshotHeader = { version, bodyHash, issuedAtMs, signerHash: port.signerHash, signature };
    this.#current = { header, body, signer: port.signerCertificate };
    return this.#current;
  }

  /** Reads again when another replica made a version meanwhile: under a newer number nothing older may be said. */
  async #read(): Promise<{ content: SnapshotBody; body: Uint8Array; bodyHash: Uint8Array; version: number }> {
    const { store, sha256 } = this.#ports;
    for (let attempt = 1; attempt <= READ_LIMIT; attempt++) {
      const basis = await store.lastVersion();
      const content = await this.#build();
      const body = encodeSnapshotBody(content);
      const bodyHash = sha256(body);
      const version = await store.snapshotVersion(bodyHash.toHex(), basis);
      if (version !== undefined) return { content, body, bodyHash, version };
    }
    throw new CodedError('DATABASE_BUSY', 'other control planes change too much at once; try again');
  }

  async #build(): Promise<SnapshotBody> {
    const { store, policies, wallMs, postures } = this.#ports;
    const nodes = (await store.listNodes()).filter((node) => !node.revoked);
    const members = new Set(nodes.map((it) => it.node));
    const judged = await postures?.([...members]);
    const instances = (await store.listInstances()).filter((it) => members.has(it.node));
    const forwards = (await store.listForwards()).filter((it) => members.has(it.node));
    return {
      format: SNAPSHOT_FORMAT,
      trustDomain: this.#options.trustDomain,
      nodes: nodes.map(({ node: name, relay, addresses, labels, links }) => ({
        name,
        relay,
        addresses,
        labels,
        links,
        ...postureOf(judged?.get(name)),
      })),
      services: groupByService(instances),
      forwards,
      revocations: await store.listRevocations(wallMs()),
      issuers: this.#options.issuers,
      roots: this.#options.roots,
      policies: await policies.statements(),
      policySchema: POLICY_SCHEMA_VERSION,
    };
  }
}

function postureOf(posture: SnapshotPosture | undefined): { readonly posture?: SnapshotPosture } {
  return posture === undefined ? {} : { posture };
}

function groupByService(instances: readonly StoredInstance[]): SnapshotService[] {
  const groups = Map.groupBy(instances, (instance) => instance.service);
  return [...groups].map(([name, members]) => ({
    name,
    instances: members.map(({ node, host, port, proxyProtocol }) => ({ node, host, port, proxyProtocol })),
  }));
}
