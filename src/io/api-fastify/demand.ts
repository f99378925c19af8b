import type { Result } from '#kernel/result.ts';
import type { AccountRefusal } from '#control/accounts/refusal.ts';
import type { Authenticated } from '#control/accounts/sessions.ts';
import { CodedError } from '#control/coded-error.ts';
import { DetailedError } from '#io/http-fastify/api-error.ts';
import type { ApiRequest } from './route.ts';

/** The value, or the refusal as an error that becomes the envelope. */
export function demandAccount<T>(result: Result<T, AccountRefusal>): T {
  if (result.ok) return result.value;
  const { code, message, retryAfterMs } = result.error;
  throw new DetailedError(code, message, retryAfterMs === undefined ? {} : { retryAfterMs });
}

/** Who asks; only open routes have nobody. */
export function callerOf({ caller }: ApiRequest<unknown, unknown, unknown>): Authenticated {
  if (caller === undefined) throw new Error('an open route asks who calls');
  return caller;
}

/** Who asks, by a session. Throws SESSION_NEEDED. */
export function sessionOf(request: ApiRequest<unknown, unknown, unknown>): Authenticated {
  const caller = callerOf(request);
  if (caller.credential.kind === 'session') return caller;
  throw new CodedError('SESSION_NEEDED', 'this is for who has logged in, not for API keys or admin.token');
}
