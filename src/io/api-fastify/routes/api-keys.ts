import { decideFor } from '#control/accounts/rights.ts';
import type { StoredKey } from '#control/accounts/store.ts';
import { CodedError } from '#control/coded-error.ts';
import { nothing, PAGE_LIMIT_MOST, pageQuery } from '#control/contract/common.ts';
import { apiKey, apiKeyBody, apiKeyList, apiKeyMade, idParams } from '#control/contract/users.ts';
import { USER_ROLES } from '#control/principal.ts';
import { callerOf, demandAccount } from '../demand.ts';
import { nextPage, readCursor } from '../page.ts';
import { type ApiContext, type ApiRoute, defineRoute, own } from '../route.ts';

/** API keys: each belongs to whoever made it. */
export function apiKeyRoutes(context: ApiContext): readonly ApiRoute[] {
  return [...collectionRoutes(context), ...memberRoutes(context)];
}

function collectionRoutes({ apiKeys, accountStore, authorizer, log }: ApiContext): readonly ApiRoute[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/api-keys',
      schema: { summary: 'the API keys that the caller may see', query: pageQuery, answers: { 200: apiKeyList } },
      action: 'api-keys:list',
      resource: own('ApiKeys'),
      handle: async (request) => {
        const caller = callerOf(request);
        const { limit = PAGE_LIMIT_MOST, cursor } = request.query;
        const isAll = decideFor(authorizer, caller, 'api-keys:list', { kind: 'ApiKeys', id: '', owner: null }).allowed;
        const owner = isAll ? undefined : caller.principal.id;
        const { page, nextCursor } = nextPage(
          await accountStore.listKeys(owner, readCursor(cursor) ?? '', limit + 1),
          limit,
        );
        return { apiKeys: page.map(keyView), nextCursor };
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/api-keys',
      schema: {
        summary: 'make an API key with no more rights than the caller has',
        body: apiKeyBody,
        answers: { 201: apiKeyMade },
      },
      action: 'api-keys:create',
      resource: own('ApiKeys'),
      creates: true,
      handle: async (request) => {
        const caller = callerOf(request);
        const { name, role, actions = null, ttlSeconds } = request.body;
        const roles = (caller.limits?.principal ?? caller.principal).roles;
        const ownRole = USER_ROLES.find((each) => roles.includes(each)) ?? 'viewer';
        const made = await apiKeys.create(caller, { name, role: role ?? ownRole, actions, ttlSeconds });
        const { token, key } = demandAccount(made);
        log.info({ user: key.userId, apiKey: key.id, role: key.role }, 'an API key was made');
        return { token, apiKey: keyView(key) };
      },
    }),
  ];
}

function memberRoutes({ apiKeys, accountStore }: ApiContext): readonly ApiRoute[] {
  /** What is not there is nobody's, and looks like what is another's. */
  const ofKey = async ({
    id = '',
  }: Readonly<Record<string, string>>): Promise<{ kind: string; id: string; owner: string }> => ({
    kind: 'ApiKey',
    id,
    owner: (await accountStore.findKey(id))?.credential.userId ?? '',
  });
  return [
    defineRoute({
      method: 'GET',
      path: '/api-keys/:id',
      schema: { summary: 'one API key', params: idParams, answers: { 200: apiKey } },
      action: 'api-keys:read',
      resource: ofKey,
      handle: async ({ params: { id } }) => {
        const found = await accountStore.findKey(id);
        if (found === undefined) throw new CodedError('API_KEY_UNKNOWN', 'there is no such API key');
        return keyView(found.credential);
      },
    }),
    defineRoute({
      method: 'DELETE',
      path: '/api-keys/:id',
      schema: { summary: 'end an API key', params: idParams, answers: { 204: nothing } },
      action: 'api-keys:revoke',
      resource: ofKey,
      handle: async ({ params: { id } }) => demandAccount(await apiKeys.revoke(id)),
    }),
  ];
}

function keyView(key: StoredKey): object {
  const { id, userId, name, role, actions, createdAtMs, expiresAtMs, lastUsedAtMs } = key;
  return {
    id,
    owner: userId,
    name,
    role,
    actions,
    createdAt: new Date(createdAtMs).toISOString(),
    expiresAt: new Date(expiresAtMs).toISOString(),
    lastUsedAt: lastUsedAtMs === null ? null : new Date(lastUsedAtMs).toISOString(),
  };
}
