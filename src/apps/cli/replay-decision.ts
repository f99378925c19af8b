import { readFile } from 'node:fs/promises';
import { CodedError } from '#control/coded-error.ts';
import { CedarEvaluator } from '#io/policy-cedar/cedar-evaluator.ts';
import { readDecision } from '#trust/policy/decision-record.ts';
import type { Decision } from '#trust/policy/engine.ts';
import { explainDecision, type Explanation } from '#trust/policy/explain.ts';
import { replayDecision } from '#trust/policy/policy-decider.ts';
import { PolicyIndex } from '#trust/policy/policy-index.ts';

/**
 * Makes the decision in a file again and explains it, from nothing but the file: what `x0 why ID --json` printed, or its `record`.
 * Rejects with USAGE, and with POLICY_TEST_FAILED where the record says otherwise than its policies.
 */
export async function replayDecisionFile(path: string): Promise<Explanation> {
  const decision = await readDecisionFile(path);
  const evaluator = new CedarEvaluator();
  const again = replayDecision(decision, evaluator);
  if (again.allowed !== decision.allowed || again.policies.join('\n') !== decision.policies.toSorted().join('\n'))
    throw new CodedError('POLICY_TEST_FAILED', `${path} does not say what its policies say`);
  return explainDecision(decision, evaluator, new PolicyIndex(decision.candidates));
}

async function readDecisionFile(path: string): Promise<Decision> {
  const content = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new CodedError('USAGE', `--file ${path}: ${error instanceof Error ? error.message : 'it cannot be read'}`);
  });
  const decision = readDecision(recordIn(parse(content)));
  if (decision === undefined)
    throw new CodedError('USAGE', `--file ${path}: it holds no record of a decision, as x0 why ID --json prints it`);
  return decision;
}

/** It travels as text, so that nobody on its way changes a policy. */
function recordIn(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('record' in value)) return value;
  return typeof value.record === 'string' ? parse(value.record) : value.record;
}

function parse(content: string): unknown {
  try {
    return JSON.parse(content) as unknown;
  } catch {
    // It is no record, which is what is said then.
    return undefined;
  }
}
