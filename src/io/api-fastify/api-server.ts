import { fastify, LogController } from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hash } from 'node:crypto';
import { Counters } from '#kernel/counters.ts';
import { decideFor } from '#control/accounts/rights.ts';
import type { Authenticated } from '#control/accounts/sessions.ts';
import { CodedError } from '#control/coded-error.ts';
import type { RepeatStore } from '#control/repeats.ts';
import type { SharedState } from '#control/shared.ts';
import { SharedRead } from '#control/shared-read.ts';
import { addressBlock } from '#io/control-https/address-block.ts';
import { DetailedError, ENVELOPE_OPTIONS, quietLog, useErrorEnvelope } from '#io/http-fastify/api-error.ts';
import type { AddressRates } from './address-limits.ts';
import { AuditTrail, type TrailRequest } from './audit-trail.ts';
import { addDocuments, schemaOf } from './documents.ts';
import { Gate } from './gate.ts';
import { readBearer } from './guard.ts';
import { Repeats } from './repeats.ts';
import type { ApiContext, ApiRequest, ApiRoute, RegistryReads } from './route.ts';
import { defineRoute, shared } from './route.ts';
import type { Tracing } from '#io/tracing-otlp/tracing.ts';
import { RequestTracing } from './request-tracing.ts';
import { RequestTimes } from './request-times.ts';
import { EXPOSITION_TYPE, type Metric, writeExposition } from '#io/metrics-text/exposition.ts';
import { apiKeyRoutes } from './routes/api-keys.ts';
import { auditRoutes } from './routes/audit.ts';
import { joinRequestRoutes } from './routes/join-requests.ts';
import { nodeRoutes } from './routes/nodes.ts';
import { peopleRoutes } from './routes/people.ts';
import { policyRoutes } from './routes/policies.ts';
import { serviceRoutes } from './routes/services.ts';
import { statusRoutes } from './routes/status.ts';
import { inventoryRoutes } from './routes/inventory.ts';
import { trustRoutes } from './routes/trust.ts';
import { tokenRoutes } from './routes/tokens.ts';
import { userRoutes } from './routes/users.ts';
import { validatorCompiler } from './validation.ts';

export interface ApiServerOptions extends Omit<ApiContext, 'reads'> {
  readonly tracing: Tracing;
  /** What `/metrics` answers beside the times of requests. */
  readonly metrics: readonly Metric[];
  /** The content of admin.token; compared in constant time. */
  readonly token: string;
  /** The name, if any, that this listener may be asked by. */
  readonly host: string;
  readonly repeats: RepeatStore;
  /** Counts strangers with the other replicas. */
  readonly shared: Pick<SharedState, 'increment'>;
  readonly limits?: Partial<ApiLimits>;
}

/** What one caller may cost before it has proved who it is. */
export interface ApiLimits {
  readonly bodyBytes: number;
  /** From the first byte of a request to its last. */
  readonly requestMs: number;
  /** Requests of one address without a credential: open routes, documents, and refused credentials. */
  readonly strangers: AddressRates;
}

const DEFAULT_LIMITS: ApiLimits = {
  bodyBytes: 64 * 1024,
  requestMs: 10_000,
  // A page of documents is ten requests; a guesser gets no further with fifty a second.
  strangers: { burst: 300, perSecond: 50 },
};
/** How often Node looks for requests that are too slow. */
const SLOW_CHECK_MS = 1_000;
/** People, scripts and dashboards; a crowd belongs behind a proxy. */
const CONNECTION_LIMIT = 1_024;
const PREFIX = '/api/v1';

/** Every resource's routes; one line each. */
const RESOURCES: readonly ((context: ApiContext) => readonly ApiRoute[])[] = [
  auditRoutes,
  statusRoutes,
  nodeRoutes,
  tokenRoutes,
  joinRequestRoutes,
  serviceRoutes,
  policyRoutes,
  userRoutes,
  peopleRoutes,
  apiKeyRoutes,
  trustRoutes,
  inventoryRoutes,
];

/** Not of the API: Prometheus asks for it, and is answered in its own format. */
const METRICS = defineRoute({
  method: 'GET',
  path: '/metrics',
  schema: { summary: 'metrics in the text format of Prometheus', answers: {} },
  action: 'status:read',
  resource: shared('Status'),
  handle: async () => undefined,
});

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Undefined on documents only. */
    readonly route?: ApiRoute;
  }
}

/** The HTTP API of the control plane: see docs/reference/api.md. */
export class ApiServer {
  readonly #server: FastifyInstance;
  readonly #options: ApiServerOptions;
  readonly #gate: Gate;
  readonly #trail: AuditTrail;
  readonly #routes: readonly ApiRoute[];
  readonly #times = new RequestTimes();
  readonly #tracing: RequestTracing;
  readonly #repeats: Repeats;
  readonly #callers = new WeakMap<FastifyRequest, Authenticated>();

  constructor(options: ApiServerOptions) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#options = options;
    this.#tracing = new RequestTracing(options.tracing);
    this.#gate = new Gate({
      ...options,
      strangers: limits.strangers,
      readCredential: async (bearer) => options.accounts.sessions.authenticate(bearer),
      nowMs: () => performance.now(),
    });
    this.#trail = new AuditTrail(options.audit, options.log);
    this.#repeats = new Repeats(options.repeats, options.wallMs);
    const context = { ...options, reads: readsOf(options) };
    this.#routes = RESOURCES.flatMap((routesOf) => routesOf(context));
    this.#server = fastify({
      loggerInstance: quietLog(options.log),
      logController: new LogController({ disableRequestLogging: true }),
      bodyLimit: limits.bodyBytes,
      requestTimeout: limits.requestMs,
      http: { connectionsCheckingInterval: SLOW_CHECK_MS, headersTimeout: limits.requestMs },
      ...ENVELOPE_OPTIONS,
      genReqId: (request) => this.#tracing.begin(request),
    });
    this.#server.server.maxConnections = CONNECTION_LIMIT;
    this.#gate.watch(this.#server.server);
  }

  /** Listens; port 0 takes any. Rejects with the system's error when it cannot. */
  async listen(host: string, port: number): Promise<number> {
    await this.#build();
    await this.#server.listen({ host, port });
    const address = this.#server.server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  async close(): Promise<void> {
    this.#server.server.closeAllConnections();
    await this.#server.close();
    await this.#trail.close();
  }

  async #build(): Promise<void> {
    const server = this.#server;
    useErrorEnvelope(server, new Counters(), (request, reply) => this.#describeMissing(request, reply));
    server.setValidatorCompiler(validatorCompiler);
    server.setSerializerCompiler(() => JSON.stringify);
    server.addHook('onRoute', ({ url, config }) => demandDeclared(url, config?.route));
    server.addHook('onRequest', async (request) => this.#admit(request));
    server.addHook('preValidation', async (request) => this.#authorize(request));
    server.addHook('onSend', async (request, reply, payload) => tagAnswer(request, reply, payload));
    await addDocuments(server, this.#options.version);
    for (const route of this.#routes) this.#addRoute(route);
    this.#addMetrics();
  }

  #addMetrics(): void {
    const metrics = [...this.#options.metrics, this.#times.metric()];
    this.#server.addHook('onResponse', async ({ method, raw, routeOptions }, { statusCode, elapsedTime }) => {
      const { url = 'none' } = routeOptions;
      this.#times.note(method, url, statusCode, elapsedTime / 1_000);
      this.#tracing.end(raw, url, statusCode);
    });
    this.#server.get('/metrics', { schema: { hide: true }, config: { route: METRICS } }, async (_request, reply) =>
      reply.type(EXPOSITION_TYPE).send(writeExposition(metrics)),
    );
  }

  #addRoute(route: ApiRoute): void {
    this.#server.route({
      method: route.method,
      url: `${PREFIX}${route.path}`,
      schema: schemaOf(route),
      config: { route },
      handler: async (request, reply) => {
        const { status, body } = await this.#work(route, request);
        return reply.code(status).send(status === 204 ? undefined : body);
      },
    });
  }

  /** Before anything of the body is read: where the request comes from, how often, and whose it is. */
  async #admit(request: FastifyRequest): Promise<void> {
    const { headers, ip: address, socket } = request;
    const { route } = request.routeOptions.config;
    const isOpen = route === undefined || route.action === 'open';
    const caller = await this.#gate.admit({ headers, address, socket, isOpen });
    if (caller !== undefined) this.#callers.set(request, caller);
  }

  async #authorize(request: FastifyRequest): Promise<void> {
    const { route } = request.routeOptions.config;
    const caller = await this.#callerNow(request);
    if (route === undefined || route.action === 'open' || caller === undefined) return;
    const resource = await route.resource(request.params as Readonly<Record<string, string>>, caller);
    const { id, allowed } = decideFor(this.#options.authorizer, caller, route.action, resource);
    if (allowed) return;
    await this.#trail.handleDenial(this.#trailOf(route, request), resource, id);
    const details = { decision: id, action: route.action };
    throw new DetailedError('ACTION_DENIED', 'you may not do that', { details });
  }

  /** A body may take seconds to come, in which a session ends or a role changes. */
  async #callerNow(request: FastifyRequest): Promise<Authenticated | undefined> {
    const known = this.#callers.get(request);
    if (known === undefined || request.body === undefined) return known;
    const caller = await this.#gate.admitAgain(request.headers);
    this.#callers.set(request, caller);
    return caller;
  }

  /** Once for one `Idempotency-Key`, where the route makes something. */
  async #work(route: ApiRoute, request: FastifyRequest): Promise<{ readonly status: number; readonly body: unknown }> {
    const status = Number(Object.keys(route.schema.answers)[0]);
    const work = async (): Promise<{ status: number; body: unknown }> => ({
      status,
      body: await this.#trail.follow(this.#trailOf(route, request), async () => route.handle(this.#requestOf(request))),
    });
    const key = request.headers['idempotency-key'];
    const caller = this.#callers.get(request);
    if (route.creates !== true || typeof key !== 'string' || caller === undefined) return await work();
    const content = JSON.stringify([request.method, request.url, request.body]);
    const { kind, id } = caller.principal;
    const bearer = readBearer(request.headers);
    return await this.#repeats.answer({ key, principal: `${kind}:${id}`, bearer, content }, work);
  }

  #trailOf(route: ApiRoute, request: FastifyRequest): TrailRequest {
    const params = request.params as Readonly<Record<string, string>>;
    const address = addressBlock(request.ip);
    return { route, params, caller: this.#callers.get(request), address, traceId: request.id };
  }

  #requestOf(request: FastifyRequest): ApiRequest<never, never, never> {
    const { params, query, body, headers, ip, id } = request as FastifyRequest & {
      params: never;
      query: never;
      body: never;
    };
    return { params, query, body, headers, caller: this.#callers.get(request), address: addressBlock(ip), traceId: id };
  }

  #describeMissing(request: FastifyRequest, reply: FastifyReply): CodedError {
    const [path = ''] = request.url.split('?');
    const others = this.#routes.filter((route) => matches(route, path)).map(({ method }) => method);
    if (others.length === 0) return new CodedError('NOT_FOUND', 'there is nothing here');
    reply.header('allow', [...new Set(others)].join(', '));
    return new CodedError('METHOD_NOT_ALLOWED', `this answers ${others.join(', ')} only`);
  }
}

function readsOf({ control }: ApiServerOptions): RegistryReads {
  return {
    nodes: new SharedRead(async () => control.nodes()),
    services: new SharedRead(async () => control.services()),
    forwards: new SharedRead(async () => control.forwards()),
  };
}

function matches(route: ApiRoute, path: string): boolean {
  const [wanted, given] = [`${PREFIX}${route.path}`.split('/'), path.split('/')];
  return wanted.length === given.length && wanted.every((part, i) => part.startsWith(':') || part === given[i]);
}

/** A route that says nothing of who may use it would be open to all. */
function demandDeclared(url: string, route: ApiRoute | undefined): void {
  if (route !== undefined || url === '/openapi.json' || url === '/docs' || url.startsWith('/docs/')) return;
  throw new Error(`the route ${url} does not declare who may use it`);
}

/** Reads carry a tag of their content, and are not sent twice to who has it; nothing of the API is kept by others. */
function tagAnswer(request: FastifyRequest, reply: FastifyReply, payload: unknown): unknown {
  if (request.routeOptions.config.route === undefined) return payload;
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  if (!isRead || reply.statusCode !== 200 || typeof payload !== 'string') {
    reply.header('cache-control', 'no-store');
    return payload;
  }
  const tag = `"${hash('sha256', payload, 'base64url').slice(0, 27)}"`;
  reply.header('etag', tag).header('cache-control', 'private, no-cache');
  if (!namesTag(request.headers['if-none-match'], tag)) return payload;
  reply.code(304).removeHeader('content-type').removeHeader('content-length');
  return '';
}

function namesTag(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((each) => each.trim() === '*' || each.trim().replace(/^W\//, '') === tag);
}
