import { CodedError } from '#control/coded-error.ts';
import { isNodeName, isServiceName } from '#trust/identity.ts';
import type { Decision } from '#trust/policy/engine.ts';
import type { Explanation } from '#trust/policy/explain.ts';
import { POLICY_TEXT_LIMIT_BYTES, STATEMENT_LIMIT } from '#trust/policy/limits.ts';
import { readArray, readRecord, readShape, readText } from '#trust/read.ts';
import type { NodePolicy } from './node-policy.ts';

type Arguments = Readonly<Record<string, unknown>>;

/** Of an answer to the control plane, which is limited too: some 60 policies. */
const RECORD_LIMIT_CHARS = 32_768;

interface RecordedExplanation extends Explanation {
  /** The decision as JSON, for making it again; null where it is too long. */
  readonly record: string | null;
}

/** `id`: a decision of this node. `caller` and `service`: whether it could now, decided here. */
export function explainQuestion(policy: NodePolicy, { id, caller, service }: Arguments): RecordedExplanation {
  if (typeof id === 'string') {
    const known = policy.find(id);
    if (known !== undefined) return recorded(policy, known);
    throw new CodedError('DECISION_UNKNOWN', 'this node has not made that decision, or not lately');
  }
  if (typeof caller !== 'string' || !isNodeName(caller)) throw new CodedError('NODE_UNKNOWN', 'name a node');
  if (typeof service !== 'string' || !isServiceName(service)) throw new CodedError('SERVICE_UNKNOWN', 'name a service');
  return recorded(policy, policy.decide(caller, service));
}

function recorded(policy: NodePolicy, decision: Decision): RecordedExplanation {
  const record = JSON.stringify(decision);
  return { ...policy.explainDecision(decision), record: record.length > RECORD_LIMIT_CHARS ? null : record };
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
