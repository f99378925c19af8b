import type { Explanation } from '#trust/policy/explain.ts';
import { explainDecision } from '#trust/policy/explain.ts';
import { MeshPolicy } from '#trust/policy/mesh-policy.ts';
import type { PolicyDeciderPorts } from '#trust/policy/policy-decider.ts';
import { decodeSnapshotBody, type SnapshotPolicy } from '#trust/snapshot.ts';
import type { PublishedSnapshot } from '#control/snapshot-publisher.ts';

/** What somebody expects of policies. */
export interface Expectation {
  readonly caller: string;
  readonly service: string;
  readonly allowed: boolean;
}

/** Decides as nodes would by the published snapshot, or by other policies in its place. */
export class PolicyTrial {
  readonly #ports: PolicyDeciderPorts;
  readonly #current: () => PublishedSnapshot | undefined;

  constructor(ports: PolicyDeciderPorts, current: () => PublishedSnapshot | undefined) {
    this.#ports = ports;
    this.#current = current;
  }

  /** Whether each of these could happen now, and why; one at a time, for each may take some ten milliseconds. */
  *explain(
    questions: readonly Pick<Expectation, 'caller' | 'service'>[],
    policies?: readonly SnapshotPolicy[],
  ): Generator<Explanation, void> {
    const policy = new MeshPolicy(this.#ports);
    const snapshot = this.#current();
    const body = snapshot === undefined ? undefined : decodeSnapshotBody(snapshot.body);
    if (snapshot !== undefined && body?.ok === true)
      policy.handleSnapshot(body.value, snapshot.header.version, policies ?? body.value.policies ?? []);
    for (const { caller, service } of questions)
      yield explainDecision(policy.decideConnect(caller, service), this.#ports.evaluator, policy.decider.index);
  }
}
