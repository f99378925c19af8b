import type { ReportedDenial } from '#control/report.ts';
import type { Denial, StreamPolicy } from '#mesh/node/stream-policy.ts';
import { DecisionLog } from '#trust/policy/decision-log.ts';
import type { Decision } from '#trust/policy/engine.ts';
import { type Explanation, explainDecision } from '#trust/policy/explain.ts';
import { MeshPolicy } from '#trust/policy/mesh-policy.ts';
import type { PolicyDeciderPorts } from '#trust/policy/policy-decider.ts';
import type { PolicyReading } from '#trust/policy/policy-reading.ts';
import type { SnapshotBody } from '#trust/snapshot.ts';
import type { SupposedChange } from './policy-questions.ts';

const MINUTE_MS = 60_000;

/** Of one turn of the event loop: traffic waits no longer for many decisions, or for many new policies. */
const SLICE_MS = 2;

interface BelievedBody {
  readonly body: SnapshotBody;
  readonly version: number;
}

interface NodePolicyPorts extends PolicyDeciderPorts {
  /** Monotonic. */
  nowMs(): number;
  /** Lets traffic go on meanwhile. */
  nextTurn(): Promise<unknown>;
  /** Why this node has nobody's streams any more: what it knows is too old to vouch for anything, or nobody vouches for it. */
  standDown(): 'SNAPSHOT_STALE' | 'CERT_REVOKED' | undefined;
  /** Policies came into force later than with their snapshot, because they are many. */
  onLoaded(): void;
}

/** What this node decides by the snapshot that it believes, and remembers of it. */
export class NodePolicy implements StreamPolicy {
  readonly #ports: NodePolicyPorts;
  readonly #policy: MeshPolicy;
  readonly #log = new DecisionLog();
  #loaded: BelievedBody | undefined;
  #next: (BelievedBody & { readonly reading: PolicyReading }) | undefined;

  constructor(ports: NodePolicyPorts) {
    this.#ports = ports;
    this.#policy = new MeshPolicy(ports);
  }

  /** At once where it is little that is new or nothing was before, else some turns later: until then what was before is so. */
  handleSnapshot(body: SnapshotBody, version: number): void {
    const reading = this.#policy.decider.read(body.policies ?? []);
    const isReading = this.#next !== undefined;
    this.#next = { body, version, reading };
    reading.handleTurn(this.#loaded === undefined ? () => false : this.startSlice());
    if (reading.isDone) this.#load();
    else if (!isReading) void this.#readOn();
  }

  denialOf(caller: string, service: string): Denial | undefined {
    const code = this.#ports.standDown();
    if (code !== undefined) return { code };
    const { allowed, id } = this.decide(caller, service);
    return allowed ? undefined : { code: 'POLICY_DENIED', decision: id };
  }

  /** The same again costs nothing, and is the same decision. */
  decide(caller: string, service: string): Decision {
    const decision = this.#policy.decideConnect(caller, service);
    this.#log.record(decision);
    return decision;
  }

  epoch(wallMs: number): string {
    const minute = this.#policy.usesTime ? Math.floor(wallMs / MINUTE_MS) : 0;
    return `${this.#loaded?.version ?? 0} ${minute} ${this.#ports.standDown() ?? ''}`;
  }

  startSlice(): () => boolean {
    const endMs = this.#ports.nowMs() + SLICE_MS;
    return () => this.#ports.nowMs() >= endMs;
  }

  /** Undefined for a decision that this node did not make, or not lately. */
  find(id: string): Decision | undefined {
    return this.#log.find(id);
  }

  explainDecision(decision: Decision): Explanation {
    return explainDecision(decision, this.#ports.evaluator, this.#policy.decider.index);
  }

  /** Which of these would be denied if a policy were another. */
  async deniedUnder<T extends { readonly caller: string; readonly service: string }>(
    change: SupposedChange,
    streams: readonly T[],
  ): Promise<readonly T[]> {
    const supposed = this.#suppose(change);
    const denied: T[] = [];
    let isUsedUp = this.startSlice();
    for (const stream of streams) {
      if (!supposed.decideConnect(stream.caller, stream.service).allowed) denied.push(stream);
      if (!isUsedUp()) continue;
      await this.#ports.nextTurn();
      isUsedUp = this.startSlice();
    }
    return denied;
  }

  #suppose({ name, statements }: SupposedChange): MeshPolicy {
    const supposed = new MeshPolicy(this.#ports);
    if (this.#loaded === undefined) return supposed;
    const { body, version } = this.#loaded;
    const others = (body.policies ?? []).filter(({ id }) => id.split('#')[0] !== name);
    const added = (statements ?? []).map((text, index) => ({ id: `${name}#${index + 1}`, text }));
    const policies = [...others, ...added];
    // What is in force was read already; what is new is one policy.
    supposed.handleSnapshot(body, version, policies, this.#policy.decider.read(policies));
    return supposed;
  }

  async #readOn(): Promise<void> {
    for (let next = this.#next; next !== undefined; next = this.#next) {
      await this.#ports.nextTurn();
      // A newer one may have taken its place meanwhile, and may be in force.
      if (this.#next !== next) continue;
      next.reading.handleTurn(this.startSlice());
      if (!next.reading.isDone) continue;
      this.#load();
      this.#ports.onLoaded();
    }
  }

  #load(): void {
    if (this.#next === undefined) return;
    const { body, version, reading } = this.#next;
    this.#next = undefined;
    this.#loaded = { body, version };
    this.#policy.handleSnapshot(body, version, body.policies ?? [], reading);
  }

  /** Denials that no report had yet. */
  takeDenials(limit: number): readonly ReportedDenial[] {
    return this.#log
      .takeUnreported(limit)
      .map(({ id, principal, resource, policies, snapshotVersion, decidedAtMs }) => ({
        id,
        caller: principal.id,
        service: resource.id,
        policies: policies.join(' '),
        snapshotVersion,
        at: new Date(decidedAtMs).toISOString(),
      }));
  }

  /** Denials that were never reported because there were too many. */
  get droppedDenials(): number {
    return this.#log.droppedCount;
  }
}
