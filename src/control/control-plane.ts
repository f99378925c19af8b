import { TokenBucket } from '#kernel/bounded.ts';
import { ok, type Result } from '#kernel/result.ts';
import type { PeerIdentity } from '#trust/identity.ts';
import { Admission } from '#control/admission.ts';
import type {
  Admitted,
  AdmissionOptions,
  AdmissionPorts,
  CreatedToken,
  EnrolRequest,
  TokenRequest,
} from '#control/admission.ts';
import type { IssuedCertificate } from '#control/ports.ts';
import type { Policies, PolicyChange } from '#control/policies/policies.ts';
import type { StoredPolicy } from '#control/policies/store.ts';
import { Postures, type PostureStore, type ReplicaView } from '#control/policies/postures.ts';
import { PresenceBoard } from '#control/presence.ts';
import { refuse, type Refusal } from '#control/refusal.ts';
import { Registry } from '#control/registry.ts';
import type { ForeseenInstance } from '#control/registry.ts';
import { DenialNotes } from '#control/denial-notes.ts';
import type { NodeReport } from '#control/report.ts';
import { SnapshotPublisher } from '#control/snapshot-publisher.ts';
import type { PublisherOptions, PublisherPorts } from '#control/snapshot-publisher.ts';
import { nodeStatuses, serviceStatuses } from '#control/status.ts';
import type { NodeStatus, ServiceStatus } from '#control/status.ts';
import type { ControlStore, StoredInstance } from '#control/store.ts';
import type { SnapshotForward } from '#trust/snapshot.ts';

export interface ControlPlanePorts extends AdmissionPorts, PublisherPorts {
  readonly policies: Policies;
  /** Keeps how nodes are; without it policies are not told. */
  readonly postureStore?: PostureStore;
  /** This control plane among those that share the store; alone by default. */
  readonly replica?: ReplicaView;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** Each change of a node's addresses is a new snapshot for all, so one node may cause few. */
const MOVE_BURST = 5;
const MOVES_PER_SECOND = 0.1;
const ALONE: ReplicaView = { id: 'alone', live: () => undefined };

/** Everything a listener can ask the control plane to do. Each change is in a published snapshot when its promise resolves. */
export class ControlPlane {
  readonly board = new PresenceBoard();
  readonly publisher: SnapshotPublisher;
  /** To be looked at; changes go through here. */
  readonly policies: Policies;
  readonly #store: ControlStore;
  readonly #admission: Admission;
  readonly #registry: Registry;
  readonly #nowMs: () => number;
  readonly #denials: DenialNotes | undefined;
  readonly #wallMs: () => number;
  /** As many as there are nodes. */
  readonly #moveBuckets = new Map<string, TokenBucket>();
  readonly #onPublished: (() => void)[] = [];

  constructor(ports: ControlPlanePorts, options: AdmissionOptions & PublisherOptions) {
    this.#store = ports.store;
    this.policies = ports.policies;
    this.#nowMs = ports.nowMs;
    this.#denials = ports.audit && new DenialNotes(ports.audit, ports.nowMs);
    this.#wallMs = ports.wallMs;
    this.#admission = new Admission(ports, options);
    this.#registry = new Registry(ports.store, ports.wallMs);
    const { postureStore } = ports;
    const postures =
      postureStore === undefined ? undefined : new Postures({ replica: ALONE, ...ports, store: postureStore });
    const judge = { postures: async (names: readonly string[]) => postures?.judge(names, this.board) ?? new Map() };
    this.publisher = new SnapshotPublisher({ ...ports, ...(postures === undefined ? {} : judge) }, options);
  }

  /** Calls `listener` after every snapshot that differs from the last. */
  onPublished(listener: () => void): void {
    this.#onPublished.push(listener);
  }

  /** Publishes what changed, or signs the old snapshot again when it is old. */
  async publish(): Promise<void> {
    const before = this.publisher.current;
    const after = await this.publisher.refresh();
    if (after !== before) for (const listener of this.#onPublished) listener();
  }

  async createToken(request: TokenRequest): Promise<Result<CreatedToken, Refusal>> {
    return this.#admission.createToken(request);
  }

  async enrol(request: EnrolRequest): Promise<Result<Admitted, Refusal>> {
    return this.#published(this.#admission.enrol(request));
  }

  async renew(identity: PeerIdentity, csr: Uint8Array): Promise<Result<IssuedCertificate, Refusal>> {
    return this.#admission.renew(identity, csr);
  }

  async revokeNode(name: string): Promise<Result<void, Refusal>> {
    return this.#published(this.#registry.revokeNode(name));
  }

  async deleteNode(name: string): Promise<Result<void, Refusal>> {
    const deleted = await this.#published(this.#registry.deleteNode(name));
    if (deleted.ok) {
      this.board.forget(name);
      this.#moveBuckets.delete(name);
      this.#denials?.forget(name);
    }
    return deleted;
  }

  /** What {@link ControlPlane.putInstance} would replace, and what speaks against it. */
  async foreseeInstance(instance: StoredInstance): Promise<ForeseenInstance> {
    return this.#registry.foreseeInstance(instance);
  }

  async putInstance(instance: StoredInstance): Promise<Result<void, Refusal>> {
    return this.#published(this.#registry.putInstance(instance));
  }

  async deleteInstance(service: string, node: string): Promise<Result<void, Refusal>> {
    return this.#published(this.#registry.deleteInstance(service, node));
  }

  async putForward(forward: SnapshotForward): Promise<Result<void, Refusal>> {
    return this.#published(this.#registry.putForward(forward));
  }

  /** Whether {@link ControlPlane.putForward} would take it; true when it is stored already. */
  async judgeForward(forward: SnapshotForward): Promise<Result<boolean, Refusal>> {
    return this.#registry.judgeForward(forward);
  }

  async deleteForward(node: string, service: string): Promise<Result<void, Refusal>> {
    return this.#published(this.#registry.deleteForward(node, service));
  }

  async putPolicy(change: PolicyChange): Promise<Result<StoredPolicy, Refusal>> {
    return this.#published(this.policies.put(change));
  }

  async deletePolicy(name: string, by: string, expected?: number): Promise<Result<StoredPolicy, Refusal>> {
    return this.#published(this.policies.delete(name, by, expected));
  }

  async rollbackPolicy(name: string, version: number, by: string): Promise<Result<StoredPolicy, Refusal>> {
    return this.#published(this.policies.rollback(name, version, by));
  }

  async handleReport(name: string, report: NodeReport): Promise<void> {
    this.board.handleReport(name, report, this.#nowMs());
    await this.#noteMoved(name, report.addresses);
    await this.#denials?.handle(name, report.denials ?? [], report.droppedDenials ?? 0);
  }

  async #noteMoved(name: string, addresses: readonly string[]): Promise<void> {
    if (!(await this.#registry.hasMoved(name, addresses))) return;
    if (!this.#moves(name).take(this.#nowMs())) return;
    if (await this.#registry.noteAddresses(name, addresses)) await this.publish();
  }

  #moves(name: string): TokenBucket {
    const known = this.#moveBuckets.get(name);
    if (known !== undefined) return known;
    const made = new TokenBucket(MOVE_BURST, MOVES_PER_SECOND, this.#nowMs());
    this.#moveBuckets.set(name, made);
    return made;
  }

  /**
   * Whether a node may be asked to drain, or to serve on. One that was drained and has stopped is not asked: its mark is taken
   * away, which is what false says.
   */
  async judgeDrain(name: string, isUndrain: boolean): Promise<Result<boolean, Refusal>> {
    if (!(await this.hasNode(name))) return refuse('NODE_UNKNOWN', `no node is called ${name}`);
    const drain = this.board.drain(name, this.#nowMs());
    if (isUndrain && this.board.forgetDrained(name)) return ok(false);
    if (drain === 'drained') return refuse('NODE_DOWN', `${name} was drained and has stopped`);
    if (this.board.state(name, this.#nowMs()) === 'up') return ok(true);
    return isUndrain
      ? refuse('NODE_NOT_DRAINING', `${name} is down, and was not drained`)
      : refuse('NODE_DOWN', `${name} is not connected to the control plane`);
  }

  async hasNode(name: string): Promise<boolean> {
    return (await this.#store.findNode(name)) !== undefined;
  }

  async nodes(): Promise<readonly NodeStatus[]> {
    const [nodes, instances] = await Promise.all([this.#store.listNodes(), this.#store.listInstances()]);
    return nodeStatuses(nodes, instances, this.board, this.#nowMs(), this.#wallMs());
  }

  async services(): Promise<readonly ServiceStatus[]> {
    return serviceStatuses(await this.#store.listInstances());
  }

  async forwards(): Promise<readonly SnapshotForward[]> {
    return this.#store.listForwards();
  }

  async #published<T>(change: Promise<Result<T, Refusal>>): Promise<Result<T, Refusal>> {
    const result = await change;
    if (result.ok) await this.publish();
    return result;
  }
}
