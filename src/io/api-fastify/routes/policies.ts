import { setTimeout as pause } from 'node:timers/promises';
import { CodedError } from '#control/coded-error.ts';
import { nothing, pageQuery } from '#control/contract/common.ts';
import * as contract from '#control/contract/policies.ts';
import type { StoredPolicy } from '#control/policies/store.ts';
import { demandOk } from '#io/http-fastify/api-error.ts';
import { dryRun, findDecision } from '../policy-fan-out.ts';
import { pageOf } from '../page.ts';
import { type ApiContext, type ApiRequest, type ApiRoute, defineRoute, named, shared } from '../route.ts';

/** Two hundred expectations of common policies take a tenth of it. */
const TRIAL_LIMIT_MS = 2_000;
/** What takes less is not worth a pause. */
const QUICK_MS = 1;

/** Policies: what is in force, what was, what would be, and why something was decided. */
export function policyRoutes(context: ApiContext): readonly ApiRoute[] {
  return [...readRoutes(context), ...changeRoutes(context), ...trialRoutes(context), ...decisionRoutes(context)];
}

function readRoutes({ control }: ApiContext): readonly ApiRoute[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/policies',
      schema: { summary: 'the policies, by name', query: pageQuery, answers: { 200: contract.policyList } },
      action: 'policies:read',
      resource: shared('Policy'),
      handle: async ({ query }) => {
        const { page, nextCursor } = pageOf(await control.policies.list(), ({ name }) => name, query);
        return { policies: page.map((it) => describe(it)), nextCursor };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/policies/:name',
      schema: { summary: 'one policy', params: contract.policyParams, answers: { 200: contract.policy } },
      action: 'policies:read',
      resource: named('Policy', 'name'),
      handle: async ({ params }) => describe(demandOk(await control.policies.find(params.name))),
    }),
    defineRoute({
      method: 'GET',
      path: '/policies/:name/versions',
      schema: {
        summary: 'its versions, newest first',
        params: contract.policyParams,
        answers: { 200: contract.policyVersions },
      },
      action: 'policies:read',
      resource: named('Policy', 'name'),
      handle: async ({ params }) => {
        const versions = demandOk(await control.policies.versions(params.name));
        return { versions: versions.map((it) => describe(it)) };
      },
    }),
  ];
}

function changeRoutes({ control }: ApiContext): readonly ApiRoute[] {
  const common = { action: 'policies:write', resource: named('Policy', 'name') } as const;
  return [
    defineRoute({
      ...common,
      method: 'PUT',
      path: '/policies/:name',
      schema: {
        summary: 'put a policy into force, or its next version',
        params: contract.policyParams,
        body: contract.policySchema,
        answers: { 200: contract.policy },
      },
      handle: async (request) => {
        const { text, enabled = true, expectedVersion } = request.body;
        const expected = expectedVersion === undefined ? {} : { expected: expectedVersion };
        const change = { name: request.params.name, text, enabled, by: authorOf(request), ...expected };
        return describe(demandOk(await control.putPolicy(change)));
      },
    }),
    defineRoute({
      ...common,
      method: 'DELETE',
      path: '/policies/:name',
      schema: { summary: 'take a policy out of force', params: contract.policyParams, answers: { 204: nothing } },
      handle: async (request) => demandOk(await control.deletePolicy(request.params.name, authorOf(request))),
    }),
    defineRoute({
      ...common,
      method: 'POST',
      path: '/policies/:name/rollback',
      schema: {
        summary: 'make an earlier version the next one',
        params: contract.policyParams,
        body: contract.rollbackSchema,
        answers: { 200: contract.policy },
      },
      handle: async (request) => {
        const { params, body } = request;
        return describe(demandOk(await control.rollbackPolicy(params.name, body.version, authorOf(request))));
      },
    }),
  ];
}

function trialRoutes({ control, hub, trial }: ApiContext): readonly ApiRoute[] {
  const common = { method: 'POST', action: 'policies:test', resource: shared('Policy') } as const;
  return [
    defineRoute({
      ...common,
      path: '/policy-tests',
      schema: {
        summary: 'check a text, and what would be allowed with it',
        body: contract.testSchema,
        answers: { 200: contract.testAnswer },
      },
      handle: async ({ body }) => {
        const { statements } = demandOk(control.policies.check(body.text));
        const { expectations = [] } = body;
        const policies = await control.policies.statements({ name: body.name, statements });
        const found = await inTurns(trial.explain(expectations, policies));
        const results = found.map((it, at) => ({ ...it, expected: expectations[at]?.allowed ?? false }));
        return { statements: statements.length, passed: results.every((it) => it.allowed === it.expected), results };
      },
    }),
    defineRoute({
      ...common,
      path: '/policy-dry-runs',
      schema: {
        summary: 'which live streams a change would close; text null: if the policy were gone',
        body: contract.dryRunSchema,
        answers: { 200: contract.dryRunAnswer },
      },
      handle: async ({ body }) => {
        const statements = body.text === null ? null : demandOk(control.policies.check(body.text)).statements;
        const nodes = (await control.nodes()).filter(({ revoked }) => !revoked).map(({ name }) => name);
        return await dryRun(hub, nodes, { name: body.name, statements });
      },
    }),
  ];
}

function decisionRoutes({ control, hub, trial }: ApiContext): readonly ApiRoute[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/decisions/:id',
      schema: {
        summary: 'why something was decided',
        params: contract.decisionParams,
        answers: { 200: contract.explanation },
      },
      action: 'decisions:read',
      resource: named('Decision', 'id'),
      handle: async ({ params }) => {
        const up = (await control.nodes()).filter(({ state }) => state === 'up').map(({ name }) => name);
        const { found, silent } = await findDecision(hub, up, params.id);
        if (found !== undefined) return found;
        const what = `none of ${up.length - silent} nodes that answered remembers ${params.id}`;
        throw new CodedError('DECISION_UNKNOWN', silent === 0 ? what : `${what}; ${silent} more did not answer`);
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/decisions',
      schema: {
        summary: 'whether a node could reach a service now',
        query: contract.couldQuery,
        answers: { 200: contract.explanation },
      },
      action: 'decisions:read',
      resource: shared('Decision'),
      handle: async ({ query }) => {
        if (!(await control.hasNode(query.caller)))
          throw new CodedError('NODE_UNKNOWN', `no node is called ${query.caller}`);
        const [explanation] = await inTurns(trial.explain([query]));
        return { ...explanation, node: null };
      },
    }),
  ];
}

/**
 * Others are served between two of these, for as long as the last one took: what they wait for comes in several turns. Throws
 * POLICY_TOO_COMPLEX when it takes too much of this process's time.
 */
async function inTurns<T>(work: Iterable<T>): Promise<readonly T[]> {
  const done: T[] = [];
  let tookMs = 0;
  let sinceMs = performance.now();
  for (const each of work) {
    done.push(each);
    const lastMs = performance.now() - sinceMs;
    tookMs += lastMs;
    if (tookMs > TRIAL_LIMIT_MS)
      throw new CodedError('POLICY_TOO_COMPLEX', `this takes longer than ${TRIAL_LIMIT_MS} ms; ask for less at once`);
    if (lastMs > QUICK_MS) await pause(lastMs);
    sinceMs = performance.now();
  }
  return done;
}

function authorOf({ caller }: ApiRequest<unknown, unknown, unknown>): string {
  return caller?.principal.id ?? '';
}

function describe({ name, version, text, enabled, deleted, changedAtMs, changedBy }: StoredPolicy): unknown {
  return { name, version, text, enabled, deleted, changedAt: new Date(changedAtMs).toISOString(), changedBy };
}
