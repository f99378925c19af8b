import { CodedError } from '#control/coded-error.ts';
import { isNodeName, isServiceName } from '#trust/identity.ts';
import type { Explanation } from '#trust/policy/explain.ts';
import { POLICY_TEXT_LIMIT_BYTES, STATEMENT_LIMIT } from '#trust/policy/limits.ts';
import { readArray, readRecord, readShape, readText } from '#trust/read.ts';
import type { NodePolicy } from './node-policy.ts';

type Arguments = Readonly<Record<string, unknown>>;

/** `id`: a decision of this node. `caller` and `service`: whether it could now, decided here. */
export function explainQuestion(policy: NodePolicy, { id, caller, service }: Arguments): Explanation {
  if (typeof id === 'string') {
    const known = policy.explain(id);
    if (known !== undefined) return known;
    throw new CodedError('DECISION_UNKNOWN', 'this node has not made that decision, or not lately');
  }
  if (typeof caller !== 'string' || !isNodeName(caller)) throw new CodedError('NODE_UNKNOWN', 'name a node');
  if (typeof service !== 'string' || !isServiceName(service)) throw new CodedError('SERVICE_UNKNOWN', 'name a service');
  return policy.explainDecision(policy.decide(caller, service));
}

/** What a dry run supposes: another text of one policy, or (null) none. */
export interface SupposedChange {
  readonly name: string;
  readonly statements: readonly string[] | null;
}

export function readSupposedChange(args: Arguments): SupposedChange {
  const read = readShape(args, (shape) => {
    const { name, statements } = readRecord(shape);
    const texts =
      statements === null
        ? null
        : readArray(statements, STATEMENT_LIMIT, (text) => readText(text, POLICY_TEXT_LIMIT_BYTES));
    return { name: readText(name, 63), statements: texts };
  });
  if (read === undefined) throw new CodedError('REQUEST_INVALID', 'this is no change of a policy');
  return read;
}
