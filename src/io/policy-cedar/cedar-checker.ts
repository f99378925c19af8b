import type { DetailedError } from '@cedar-policy/cedar-wasm/nodejs';
import { CodedError } from '#control/coded-error.ts';
import { fail, ok, type Result } from '#kernel/result.ts';
import {
  POLICY_DEPTH_LIMIT,
  POLICY_QUOTED_LIMIT_CHARS,
  POLICY_TEXT_LIMIT_BYTES,
  POLICY_TOKEN_LIMIT,
  STATEMENT_LIMIT,
  STATEMENT_TOKEN_LIMIT,
} from '#trust/policy/limits.ts';
import { type CheckedPolicy, type PolicyProblem, positionOf } from '#trust/policy/policy-check.ts';
import { scanStatement } from '#trust/policy/policy-scan.ts';
import { MESH_SCHEMA } from '#trust/policy/schema.ts';
import { CedarModule } from './cedar-module.ts';

const START = { line: 1, column: 1 };

/** Says whether a text may be put into force, and if not, what is wrong where. */
export class CedarChecker {
  readonly #module: CedarModule;
  readonly #schema: string;

  constructor(module = new CedarModule(), schema: string = MESH_SCHEMA) {
    this.#module = module;
    this.#schema = schema;
  }

  check(text: string): Result<CheckedPolicy, PolicyProblem> {
    const refused = measure(text);
    if (refused !== undefined) return fail(refused);
    try {
      return this.#check(text);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      return fail({ code: 'POLICY_TOO_COMPLEX', message: error.message, ...START });
    }
  }

  #check(text: string): Result<CheckedPolicy, PolicyProblem> {
    return this.#module.call((cedar) => {
      const parsed = cedar.checkParsePolicySet({ staticPolicies: text });
      if (parsed.type === 'failure') return fail(problemOf('POLICY_SYNTAX', text, parsed.errors[0]));
      const parts = cedar.policySetTextToParts(text);
      if (parts.type === 'failure') return fail(problemOf('POLICY_SYNTAX', text, parts.errors[0]));
      const statements = parts.policies.toSorted((a, b) => text.indexOf(a) - text.indexOf(b));
      if (statements.length === 0) return fail(problem('POLICY_SYNTAX', 'there is no statement in it'));
      if (statements.length > STATEMENT_LIMIT) {
        return fail(problem('POLICY_TOO_LARGE', `a policy has at most ${STATEMENT_LIMIT} statements`));
      }
      const judged = cedar.validate({ schema: this.#schema, policies: { staticPolicies: text } });
      if (judged.type === 'failure') return fail(problemOf('POLICY_SCHEMA', text, judged.errors[0]));
      const [wrong] = [...judged.validationErrors, ...judged.validationWarnings.filter((it) => isInert(it.error))];
      return wrong === undefined ? ok({ statements }) : fail(problemOf('POLICY_SCHEMA', text, wrong.error));
    });
  }
}

/** A policy that can never apply is a mistake: its author believes that it does something. */
function isInert({ message }: DetailedError): boolean {
  return message.includes('unable to find an applicable action');
}

/** What must be known before the evaluator sees a text. */
function measure(text: string): PolicyProblem | undefined {
  if (Buffer.byteLength(text) > POLICY_TEXT_LIMIT_BYTES) {
    return problem('POLICY_TOO_LARGE', `a policy has at most ${POLICY_TEXT_LIMIT_BYTES} bytes`);
  }
  const { depth, tokens, statementTokens, longestText, hasEscapedId } = scanStatement(text);
  if (depth > POLICY_DEPTH_LIMIT)
    return problem('POLICY_TOO_COMPLEX', `brackets nest at most ${POLICY_DEPTH_LIMIT} deep`);
  if (tokens > POLICY_TOKEN_LIMIT)
    return problem('POLICY_TOO_COMPLEX', `a policy has at most ${POLICY_TOKEN_LIMIT} words`);
  if (statementTokens > STATEMENT_TOKEN_LIMIT)
    return problem('POLICY_TOO_COMPLEX', `a statement has at most ${STATEMENT_TOKEN_LIMIT} words; make it several`);
  if (longestText > POLICY_QUOTED_LIMIT_CHARS)
    return problem('POLICY_TOO_COMPLEX', `a text in quotes has at most ${POLICY_QUOTED_LIMIT_CHARS} characters`);
  return hasEscapedId ? problem('POLICY_SYNTAX', 'the id of an entity has no escapes') : undefined;
}

function problem(code: PolicyProblem['code'], message: string): PolicyProblem {
  return { code, message, ...START };
}

function problemOf(code: PolicyProblem['code'], text: string, error: DetailedError | undefined): PolicyProblem {
  if (error === undefined) return problem(code, 'it is not a policy');
  const [at] = error.sourceLocations ?? [];
  const help = error.help ?? at?.label;
  const message = error.message
    .replace(/^failed to parse policies from string: /, '')
    .replace(/^for policy `[^`]*`, /, '');
  const position = at === undefined ? START : positionOf(text, at.start);
  return { code, message: help === null || help === undefined ? message : `${message} (${help})`, ...position };
}
