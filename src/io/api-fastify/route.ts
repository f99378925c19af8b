import type { FastifyBaseLogger } from 'fastify';
import type { IncomingHttpHeaders } from 'node:http';
import type { Static, TSchema } from 'typebox';
import type { Accounts } from '#control/accounts/accounts.ts';
import type { ApiKeys } from '#control/accounts/api-keys.ts';
import type { Authenticated } from '#control/accounts/sessions.ts';
import type { AccountStore } from '#control/accounts/store.ts';
import type { ChangeAudit } from '#control/audit/audit.ts';
import type { AuditStore } from '#control/audit/store.ts';
import type { JoinRequestStore } from '#control/join-requests.ts';
import type { Inventory } from '#control/inventory.ts';
import type { ControlPlane } from '#control/control-plane.ts';
import type { ApiResource, Authorizer } from '#control/authorizer.ts';
import type { SharedRead } from '#control/shared-read.ts';
import type { NodeStatus, ServiceStatus } from '#control/status.ts';
import type { SnapshotForward } from '#trust/snapshot.ts';
import type { ApiAction } from '#control/contract/actions.ts';
import type { PolicyTrial } from '#control/policies/policy-trial.ts';
import type { NodeHub } from '#io/control-https/node-hub.ts';

/** What `status` says of the control plane itself. */
export interface ControlStatus {
  readonly pid: number;
  readonly trustDomain: string;
  readonly enrolment: string;
  readonly admin: string;
  readonly rootSha256: string;
  /** Requests of nodes that were refused, by code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Connections that have not proved a member's key, now and refused so far. */
  readonly strangers: { readonly open: number; readonly refused: number };
}

/** What many look at, all the time. */
export interface RegistryReads {
  readonly nodes: SharedRead<readonly NodeStatus[]>;
  readonly services: SharedRead<readonly ServiceStatus[]>;
  readonly forwards: SharedRead<readonly SnapshotForward[]>;
}

/** What routes work with. */
export interface ApiContext {
  readonly control: ControlPlane;
  readonly hub: NodeHub;
  readonly audit: ChangeAudit;
  readonly auditStore: AuditStore;
  readonly joinRequests: JoinRequestStore;
  readonly inventory: Inventory;
  readonly authorizer: Authorizer;
  /** What would be decided now. */
  readonly trial: PolicyTrial;
  readonly accounts: Accounts;
  readonly accountStore: AccountStore;
  readonly apiKeys: ApiKeys;
  readonly wallMs: () => number;
  readonly reads: RegistryReads;
  /** Where the enrolment port answers, for new tokens. */
  readonly addresses: () => readonly string[];
  readonly self: () => ControlStatus;
  /** Of this program. */
  readonly version: string;
  readonly log: FastifyBaseLogger;
}

/** A request whose form was checked and whose caller may do what it asks. */
export interface ApiRequest<Params, Query, Body> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly headers: IncomingHttpHeaders;
  /** Undefined on open routes only; see `callerOf`. */
  readonly caller: Authenticated | undefined;
  /** The peer's, or the block of IPv6 addresses that it is in. */
  readonly address: string;
  readonly traceId: string;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

interface RouteForm<Params extends TSchema, Query extends TSchema, Body extends TSchema> {
  /** One line for people. */
  readonly summary: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  /** The status and shape of success; failures are the same on all routes. */
  readonly answers: Readonly<Record<number, TSchema>>;
}

/** Everything about one route, said once. */
export interface RouteSpec<Params extends TSchema, Query extends TSchema, Body extends TSchema> {
  readonly method: Method;
  /** Under `/api/v1`, parameters as `:name`. */
  readonly path: string;
  readonly schema: RouteForm<Params, Query, Body>;
  /** `open`: whoever can reach the port may do this, without a credential. */
  readonly action: ApiAction | 'open';
  /** What the action is done to, by the parameters of the path, which may be any text; not for open routes. */
  readonly resource: (params: Readonly<Record<string, string>>, caller: Authenticated) => Promisable<ApiResource>;
  /** The caller may send `Idempotency-Key`. */
  readonly creates?: true;
  handle(request: ApiRequest<Static<Params>, Static<Query>, Static<Body>>): Promise<unknown>;
}

type Promisable<T> = T | Promise<T>;

/** A route as the server keeps it; what it gets was checked by its own schemas. */
export type ApiRoute = Omit<RouteSpec<TSchema, TSchema, TSchema>, 'handle'> & {
  readonly handle: (request: ApiRequest<never, never, never>) => Promise<unknown>;
};

/** Checks that a route's parts fit each other. */
export function defineRoute<Params extends TSchema, Query extends TSchema, Body extends TSchema>(
  spec: RouteSpec<Params, Query, Body>,
): ApiRoute {
  return { ...spec, handle: async (request) => spec.handle(request) };
}

/** A collection, or the one thing of its kind: it belongs to nobody. */
export function shared(kind: string, id = ''): () => ApiResource {
  return () => ({ kind, id, owner: null });
}

/** The thing that a parameter of the path names, which belongs to nobody. */
export function named(kind: string, parameter: string): (params: Readonly<Record<string, string>>) => ApiResource {
  return (params) => ({ kind, id: params[parameter] ?? '', owner: null });
}

/** What is the caller's own, whoever it is. */
export function own(kind: string): (params: unknown, caller: Authenticated) => ApiResource {
  return (_params, { principal }) => ({ kind, id: principal.id, owner: principal.id });
}
