import type { FastifyBaseLogger } from 'fastify';
import { CodedError } from '#control/coded-error.ts';
import type { Audit, AuditOutcome } from '#control/audit/audit.ts';
import type { ApiResource } from '#control/authorizer.ts';
import type { Authenticated } from './authenticator.ts';
import type { ApiRoute } from './route.ts';

/** A request that the log is to know of. */
export interface TrailRequest {
  readonly route: ApiRoute;
  readonly params: Readonly<Record<string, string>>;
  readonly caller: Authenticated | undefined;
  readonly traceId: string;
}

/** Puts every change and every denial of the API into the audit log; what only reads is not there. */
export class AuditTrail {
  readonly #audit: Audit;
  readonly #log: FastifyBaseLogger;

  constructor(audit: Audit, log: FastifyBaseLogger) {
    this.#audit = audit;
    this.#log = log;
  }

  /** Does `work` and records how it went, before anybody is answered. */
  async follow<T>(request: TrailRequest, work: () => Promise<T>): Promise<T> {
    const { route } = request;
    if (route.method === 'GET') return await work();
    try {
      const answer = await work();
      await this.#record(request, 'done', {});
      return answer;
    } catch (error) {
      const code = error instanceof CodedError ? error.code : 'INTERNAL';
      if (isWorthTelling(route, code)) await this.#tryRecord(request, 'failed', { code });
      throw error;
    }
  }

  /** A denial stands, whether it could be recorded or not. */
  async handleDenial(request: TrailRequest, resource: ApiResource, decision: string): Promise<void> {
    await this.#tryRecord(request, 'denied', { code: 'ACTION_DENIED', decision, kind: resource.kind });
  }

  async #tryRecord(
    request: TrailRequest,
    outcome: AuditOutcome,
    detail: Readonly<Record<string, string>>,
  ): Promise<void> {
    try {
      await this.#record(request, outcome, detail);
    } catch (error) {
      this.#log.error({ err: error, outcome, action: request.route.action }, 'the audit log could not be written');
    }
  }

  async #record(
    { route, params, caller, traceId }: TrailRequest,
    outcome: AuditOutcome,
    detail: Readonly<Record<string, string>>,
  ): Promise<void> {
    const credential = caller?.credential;
    const how = credential === undefined ? {} : { credential: `${credential.kind}:${credential.id}` };
    await this.#audit.record({
      actor: caller === undefined ? 'stranger' : `${caller.principal.kind}:${caller.principal.id}`,
      action: route.action === 'open' ? `open:${route.method} ${route.path}` : route.action,
      target: targetOf(route, params),
      outcome,
      detail: { ...how, ...detail },
      traceId,
    });
  }
}

/** What strangers can cause as often as they like is counted elsewhere; a wrong password or code they cannot. */
const STRANGERS_FAILURES: ReadonlySet<string> = new Set(['LOGIN_WRONG', 'LOGIN_TOO_OFTEN', 'CODE_WRONG']);

function isWorthTelling({ action }: ApiRoute, code: string): boolean {
  return action === 'open' ? STRANGERS_FAILURES.has(code) : code !== 'AUDIT_BUSY';
}

/** The path as it was asked, whose parameters name the object; no route carries a secret there. */
function targetOf({ path }: ApiRoute, params: Readonly<Record<string, string>>): string {
  return path.replaceAll(/:(\w+)/g, (whole, name: string) => params[name] ?? whole);
}
