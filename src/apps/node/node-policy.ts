import type { ReportedDenial } from '#control/report.ts';
import type { Denial, StreamPolicy } from '#mesh/node/stream-policy.ts';
import { DecisionLog } from '#trust/policy/decision-log.ts';
import type { Decision } from '#trust/policy/engine.ts';
import { type Explanation, explainDecision } from '#trust/policy/explain.ts';
import { MeshPolicy } from '#trust/policy/mesh-policy.ts';
import type { PolicyDeciderPorts } from '#trust/policy/policy-decider.ts';
import type { SnapshotBody } from '#trust/snapshot.ts';
import type { SupposedChange } from './policy-questions.ts';

const MINUTE_MS = 60_000;

/** What this node decides by the snapshot that it believes, and remembers of it. */
export class NodePolicy implements StreamPolicy {
  readonly #ports: PolicyDeciderPorts;
  readonly #policy: MeshPolicy;
  readonly #log = new DecisionLog();
  #believed: { readonly body: SnapshotBody; readonly version: number } | undefined;

  readonly #isStale: () => boolean;

  /** `isStale`: what this node knows is too old to vouch for anything. */
  constructor(ports: PolicyDeciderPorts, isStale: () => boolean) {
    this.#ports = ports;
    this.#isStale = isStale;
    this.#policy = new MeshPolicy(ports);
  }

  handleSnapshot(body: SnapshotBody, version: number): void {
    this.#believed = { body, version };
    this.#policy.handleSnapshot(body, version);
  }

  denialOf(caller: string, service: string): Denial | undefined {
    if (this.#isStale()) return { code: 'SNAPSHOT_STALE' };
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
    return `${this.#believed?.version ?? 0} ${minute} ${this.#isStale()}`;
  }

  /** Undefined for a decision that this node did not make, or not lately. */
  explain(id: string): Explanation | undefined {
    const decision = this.#log.find(id);
    return decision === undefined ? undefined : this.explainDecision(decision);
  }

  explainDecision(decision: Decision): Explanation {
    return explainDecision(decision, this.#ports.evaluator, this.#policy.decider.index);
  }

  /** Which of these would be denied if a policy were another. */
  deniedUnder<T extends { readonly caller: string; readonly service: string }>(
    { name, statements }: SupposedChange,
    streams: readonly T[],
  ): readonly T[] {
    const supposed = new MeshPolicy(this.#ports);
    if (this.#believed !== undefined) {
      const { body, version } = this.#believed;
      const others = (body.policies ?? []).filter(({ id }) => id.split('#')[0] !== name);
      const added = (statements ?? []).map((text, index) => ({ id: `${name}#${index + 1}`, text }));
      supposed.handleSnapshot(body, version, [...others, ...added]);
    }
    return streams.filter(({ caller, service }) => !supposed.decideConnect(caller, service).allowed);
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
