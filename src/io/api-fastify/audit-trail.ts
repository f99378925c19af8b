import type { FastifyBaseLogger } from 'fastify';
import { CodedError } from '#control/coded-error.ts';
import type { AuditNote, AuditOutcome, ChangeAudit } from '#control/audit/audit.ts';
import type { ApiResource } from '#control/authorizer.ts';
import type { Authenticated } from './authenticator.ts';
import { RefusalNotes } from './refusal-notes.ts';
import type { ApiRoute } from './route.ts';

/** A request that the log is to know of. */
export interface TrailRequest {
  readonly route: ApiRoute;
  readonly params: Readonly<Record<string, string>>;
  readonly caller: Authenticated | undefined;
  /** The peer's, or the block that it is in. */
  readonly address: string;
  readonly traceId: string;
}

/** Puts every change and every denial of the API into the audit log; what only reads is not there. */
export class AuditTrail {
  readonly #audit: ChangeAudit;
  readonly #refusals: RefusalNotes;

  constructor(audit: ChangeAudit, log: FastifyBaseLogger) {
    this.#audit = audit;
    this.#refusals = new RefusalNotes(
      audit,
      () => performance.now(),
      (error) => log.error({ err: error }, 'the audit log could not be written'),
    );
  }

  /** Records what was only counted so far. */
  async close(): Promise<void> {
    await this.#refusals.close();
  }

  /** Does `work` and records how it went, before anybody is answered. */
  async follow<T>(request: TrailRequest, work: () => Promise<T>): Promise<T> {
    const { route } = request;
    if (route.method === 'GET') return await work();
    try {
      return await this.#audit.follow(noteOf(request, 'done', {}), work);
    } catch (error) {
      const code = error instanceof CodedError ? error.code : 'INTERNAL';
      if (isWorthTelling(route, code)) await this.#refuse(request, 'failed', { code });
      throw error;
    }
  }

  /** A denial stands, whether it could be recorded or not. */
  async handleDenial(request: TrailRequest, resource: ApiResource, decision: string): Promise<void> {
    await this.#refuse(request, 'denied', { code: 'ACTION_DENIED', decision, kind: resource.kind });
  }

  async #refuse(request: TrailRequest, outcome: AuditOutcome, detail: Readonly<Record<string, string>>): Promise<void> {
    const note = noteOf(request, outcome, detail);
    const source = request.caller === undefined ? `${note.actor} ${request.address}` : note.actor;
    await this.#refusals.handle(source, note);
  }
}

function noteOf(
  { route, params, caller, address, traceId }: TrailRequest,
  outcome: AuditOutcome,
  detail: Readonly<Record<string, string>>,
): AuditNote {
  const credential = caller?.credential;
  const how = credential === undefined ? { address } : { credential: `${credential.kind}:${credential.id}` };
  return {
    actor: caller === undefined ? 'stranger' : `${caller.principal.kind}:${caller.principal.id}`,
    action: route.action === 'open' ? `open:${route.method} ${route.path}` : route.action,
    target: targetOf(route, params),
    outcome,
    detail: { ...how, ...detail },
    traceId,
  };
}

/** What strangers can cause as often as they like is counted elsewhere; a wrong password or code they cannot. */
const STRANGERS_FAILURES: ReadonlySet<string> = new Set(['LOGIN_WRONG', 'LOGIN_TOO_OFTEN', 'CODE_WRONG']);

function isWorthTelling({ action }: ApiRoute, code: string): boolean {
  return action === 'open' ? STRANGERS_FAILURES.has(code) : code !== 'AUDIT_BUSY';
}

/** Of sessions, keys, codes and join tokens: who pastes a whole one where an id belongs does not publish it. */
const SECRET = /(x0(?:[a-z]_|join\.)\w{0,8})[\w.-]*/g;

/** The path as it was asked, whose parameters name the object. */
function targetOf({ path }: ApiRoute, params: Readonly<Record<string, string>>): string {
  return path.replaceAll(/:(\w+)/g, (whole, name: string) => (params[name] ?? whole).replaceAll(SECRET, '$1…'));
}
