import type { OpenedSession } from '#control/accounts/sessions.ts';
import type { StoredUser } from '#control/accounts/store.ts';
import type { Accounts } from '#control/accounts/accounts.ts';
import { CodedError } from '#control/coded-error.ts';
import { nothing } from '#control/contract/common.ts';
import { loginBody, me, passwordBody, registerBody, session } from '#control/contract/users.ts';
import { LOCAL_ADMIN } from '#control/principal.ts';
import { callerOf, demandAccount, sessionOf } from '../demand.ts';
import { readBearer } from '../guard.ts';
import { type ApiContext, type ApiRoute, defineRoute, own, shared } from '../route.ts';

/** How people come in and go, and what each does with its own account. */
export function userRoutes(context: ApiContext): readonly ApiRoute[] {
  return [...openRoutes(context.accounts), ...sessionRoutes(context.accounts), meRoute()];
}

function openRoutes(accounts: Accounts): readonly ApiRoute[] {
  return [
    defineRoute({
      method: 'POST',
      path: '/users/register',
      schema: { summary: 'become a user by a code', body: registerBody, answers: { 201: session } },
      action: 'open',
      resource: shared('User'),
      handle: async ({ body, address }) => {
        const { code, password } = body;
        return sessionView(demandAccount(await accounts.register({ code, name: nameOf(body), password, address })));
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/users/login',
      schema: { summary: 'open a session', body: loginBody, answers: { 200: session } },
      action: 'open',
      resource: shared('User'),
      handle: async ({ body, address }) =>
        sessionView(demandAccount(await accounts.login(nameOf(body), body.password, address))),
    }),
  ];
}

function sessionRoutes(accounts: Accounts): readonly ApiRoute[] {
  return [
    defineRoute({
      method: 'POST',
      path: '/users/refresh',
      schema: { summary: 'a new secret for this session; the old one ends', answers: { 200: session } },
      action: 'session:use',
      resource: own('Session'),
      handle: async (request) => {
        sessionOf(request);
        return sessionView(demandAccount(await accounts.sessions.refresh(readBearer(request.headers))));
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/users/logout',
      schema: { summary: 'end this session', answers: { 204: nothing } },
      action: 'session:use',
      resource: own('Session'),
      handle: async (request) => accounts.sessions.end(sessionOf(request).credential.id),
    }),
    defineRoute({
      method: 'POST',
      path: '/users/password',
      schema: {
        summary: 'change the password; every session ends, and a new one begins',
        body: passwordBody,
        answers: { 200: session },
      },
      action: 'session:use',
      resource: own('Session'),
      handle: async (request) => {
        const { oldPassword, newPassword } = request.body;
        const { id } = sessionOf(request).principal;
        return sessionView(demandAccount(await accounts.changePassword(id, oldPassword, newPassword, request.address)));
      },
    }),
  ];
}

function meRoute(): ApiRoute {
  return defineRoute({
    method: 'GET',
    path: '/users/me',
    schema: { summary: 'who asks, and by what', answers: { 200: me } },
    action: 'users:read',
    resource: own('User'),
    handle: async (request) => {
      const { credential, limits, user } = callerOf(request);
      const known = user === undefined ? LOCAL_VIEW : userView(user);
      const { id, name, role, createdAt } = known;
      const used = { ...credential, role: limits?.principal.roles[0] ?? null, actions: limits?.actions ?? null };
      return { id, name, role, createdAt, credential: used };
    },
  });
}

const LOCAL_VIEW = { id: LOCAL_ADMIN.id, name: LOCAL_ADMIN.id, role: 'admin', createdAt: null };

function nameOf({ name, email }: { readonly name?: string; readonly email?: string }): string {
  if (name !== undefined && email !== undefined) throw new CodedError('INPUT_INVALID', 'send name or email, not both');
  const given = name ?? email;
  if (given === undefined) throw new CodedError('INPUT_INVALID', 'body must have name or email');
  return given;
}

function sessionView({ token, expiresAtMs, user }: OpenedSession): object {
  return { token, expiresAt: new Date(expiresAtMs).toISOString(), user: userView(user) };
}

/** What is shown of a user. */
export function userView({ id, name, role, isDisabled, createdAtMs }: StoredUser): {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly disabled: boolean;
  readonly createdAt: string;
} {
  return { id, name, role, disabled: isDisabled, createdAt: new Date(createdAtMs).toISOString() };
}
