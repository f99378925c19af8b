import { decideFor, exceedingAction } from '#control/accounts/rights.ts';
import type { StoredInvitation } from '#control/accounts/store.ts';
import { CodedError } from '#control/coded-error.ts';
import { nothing, PAGE_LIMIT_MOST, pageQuery } from '#control/contract/common.ts';
import {
  firstCode,
  idParams,
  invitationBody,
  invitationList,
  invitationMade,
  sessionsEnded,
  stats,
  user,
  userChange,
  userList,
} from '#control/contract/users.ts';
import { callerOf, demandAccount } from '../demand.ts';
import { nextPage, readCursor } from '../page.ts';
import { type ApiContext, type ApiRoute, defineRoute, own, shared } from '../route.ts';
import { userView } from './users.ts';

/** What admins do with the accounts of others. */
export function peopleRoutes(context: ApiContext): readonly ApiRoute[] {
  return [...listRoutes(context), ...changeRoutes(context), ...invitationRoutes(context)];
}

/** The user that `:id` names owns itself. */
function ofUser({ id = '' }: Readonly<Record<string, string>>): { kind: string; id: string; owner: string } {
  return { kind: 'User', id, owner: id };
}

function listRoutes({ accountStore, authorizer, wallMs }: ApiContext): readonly ApiRoute[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/users',
      schema: { summary: 'the users that the caller may see', query: pageQuery, answers: { 200: userList } },
      action: 'users:list',
      resource: own('Users'),
      handle: async (request) => {
        const caller = callerOf(request);
        const { limit = PAGE_LIMIT_MOST, cursor } = request.query;
        const after = readCursor(cursor) ?? '';
        const isAll = decideFor(authorizer, caller, 'users:list', { kind: 'Users', id: '', owner: null }).allowed;
        const self = isAll ? undefined : await accountStore.findUser(caller.principal.id);
        const found = isAll ? await accountStore.listUsers(after, limit + 1) : self === undefined ? [] : [self];
        const { page, nextCursor } = nextPage(found, limit);
        return { users: page.map(userView), nextCursor };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/users/stats',
      schema: { summary: 'how many users, sessions and keys there are', answers: { 200: stats } },
      action: 'users:stats',
      resource: shared('Users'),
      handle: async () => accountStore.counts(wallMs()),
    }),
    defineRoute({
      method: 'GET',
      path: '/users/:id',
      schema: { summary: 'one user', params: idParams, answers: { 200: user } },
      action: 'users:read',
      resource: ofUser,
      handle: async ({ params: { id } }) => {
        const found = await accountStore.findUser(id);
        if (found === undefined) throw new CodedError('USER_UNKNOWN', 'there is no such user');
        return userView(found);
      },
    }),
  ];
}

function changeRoutes({ accounts, accountStore, authorizer, log }: ApiContext): readonly ApiRoute[] {
  return [
    defineRoute({
      method: 'PATCH',
      path: '/users/:id',
      schema: {
        summary: 'change a user’s role, or disable it',
        params: idParams,
        body: userChange,
        answers: { 200: user },
      },
      action: 'users:change',
      resource: ofUser,
      handle: async (request) => {
        const { role, disabled } = request.body;
        // Who is let in again has every right of its role again.
        const given = role ?? (disabled === false ? (await accountStore.findUser(request.params.id))?.role : undefined);
        if (given !== undefined) {
          const exceeding = exceedingAction(authorizer, callerOf(request), given, null);
          if (exceeding !== undefined) throw new CodedError('RIGHTS_EXCEEDED', `you may not do ${exceeding} yourself`);
        }
        const change = { ...(role && { role }), ...(disabled !== undefined && { isDisabled: disabled }) };
        const changed = demandAccount(await accounts.changeUser(request.params.id, change));
        log.warn({ user: changed.id, role: changed.role, disabled: changed.isDisabled }, 'a user was changed');
        return userView(changed);
      },
    }),
    defineRoute({
      method: 'DELETE',
      path: '/users/:id/sessions',
      schema: { summary: 'end every session of a user', params: idParams, answers: { 200: sessionsEnded } },
      action: 'users:end-sessions',
      resource: ofUser,
      handle: async ({ params: { id } }) => ({ ended: await accounts.sessions.endAll(id) }),
    }),
  ];
}

function invitationRoutes({ accounts, accountStore, authorizer, wallMs }: ApiContext): readonly ApiRoute[] {
  const common = { action: 'users:invite', resource: shared('Invitation') } as const;
  return [
    defineRoute({
      ...common,
      method: 'POST',
      path: '/users/invitations',
      schema: {
        summary: 'a code with which one person may register',
        body: invitationBody,
        answers: { 201: invitationMade },
      },
      creates: true,
      handle: async (request) => {
        const caller = callerOf(request);
        const { role } = request.body;
        const exceeding = exceedingAction(authorizer, caller, role, null);
        if (exceeding !== undefined) throw new CodedError('RIGHTS_EXCEEDED', `you may not do ${exceeding} yourself`);
        const { id, code, expiresAtMs } = await accounts.invite(role, caller.principal.id);
        return { id, role, expiresAt: new Date(expiresAtMs).toISOString(), code };
      },
    }),
    defineRoute({
      ...common,
      method: 'POST',
      path: '/users/first-code',
      schema: { summary: 'a new code for the first admin, while there is none', answers: { 200: firstCode } },
      handle: async (request) => {
        const exceeding = exceedingAction(authorizer, callerOf(request), 'admin', null);
        if (exceeding !== undefined) throw new CodedError('RIGHTS_EXCEEDED', `you may not do ${exceeding} yourself`);
        return { code: (await accounts.inviteFirst()) ?? null };
      },
    }),
    defineRoute({
      ...common,
      method: 'GET',
      path: '/users/invitations',
      schema: { summary: 'invitations that nobody used', query: pageQuery, answers: { 200: invitationList } },
      handle: async ({ query: { limit = PAGE_LIMIT_MOST, cursor } }) => {
        const found = await accountStore.listInvitations(readCursor(cursor) ?? '', limit + 1, wallMs());
        const { page, nextCursor } = nextPage(found, limit);
        return { invitations: page.map(invitationView), nextCursor };
      },
    }),
    defineRoute({
      ...common,
      method: 'DELETE',
      path: '/users/invitations/:id',
      schema: { summary: 'take an invitation back', params: idParams, answers: { 204: nothing } },
      handle: async ({ params: { id } }) => {
        if (!(await accountStore.deleteInvitation(id)))
          throw new CodedError('INVITATION_UNKNOWN', 'there is no such invitation');
      },
    }),
  ];
}

function invitationView({ id, role, invitedBy, createdAtMs, expiresAtMs }: StoredInvitation): object {
  const [createdAt, expiresAt] = [createdAtMs, expiresAtMs].map((ms) => new Date(ms).toISOString());
  return { id, role, invitedBy, createdAt, expiresAt };
}
