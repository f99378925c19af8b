import { fastify, LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { randomUUID } from 'node:crypto';
import { Counters } from '#kernel/counters.ts';
import { CodedError } from '#control/coded-error.ts';
import type { ControlPlane } from '#control/control-plane.ts';
import { guardAdmin } from '#io/admin-http/guard.ts';
import { drainSchema, forwardSchema, instanceSchema, questionSchema, tokenSchema } from '#io/admin-http/schemas.ts';
import type { DrainBody, ForwardBody, InstanceBody, QuestionQuery, TokenBody } from '#io/admin-http/schemas.ts';
import type { NodeHub } from '#io/control-https/node-hub.ts';
import { demandOk, ENVELOPE_OPTIONS, quietLog, useErrorEnvelope } from '#io/http-fastify/api-error.ts';

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

export interface AdminServerOptions {
  readonly control: ControlPlane;
  readonly hub: NodeHub;
  /** The credential; compared in constant time. */
  readonly token: string;
  readonly host: string;
  /** Where the enrolment port answers, for new tokens. */
  readonly addresses: () => readonly string[];
  readonly self: () => ControlStatus;
  readonly log: FastifyBaseLogger;
}

const BODY_LIMIT_BYTES = 64 * 1024;
const REQUEST_LIMIT_MS = 10_000;
/** People and scripts, not crowds. */
const CONNECTION_LIMIT = 128;

/** Most requests and chats end in this; what is longer moves or is cut. */
const DEFAULT_GRACE_SECONDS = 30;

/** Why a node did not answer a question, as opposed to its answer. */
const UNASKED: ReadonlySet<string> = new Set([
  'NODE_DOWN',
  'NODE_TIMEOUT',
  'NODE_BUSY',
  'QUESTION_UNKNOWN',
  'INTERNAL',
  'TARGET_UNKNOWN_HOST',
]);

interface NodeParams {
  readonly name: string;
}
interface CertificateParams extends NodeParams {
  readonly serial: string;
}
interface InstanceParams {
  readonly service: string;
  readonly node: string;
}
interface ForwardParams {
  readonly service: string;
  readonly name: string;
}

/** The administration API on loopback: every route needs the credential. */
export class AdminServer {
  readonly #server: FastifyInstance;
  readonly #options: AdminServerOptions;

  constructor(options: AdminServerOptions) {
    this.#options = options;
    this.#server = fastify({
      loggerInstance: quietLog(options.log),
      logController: new LogController({ disableRequestLogging: true }),
      bodyLimit: BODY_LIMIT_BYTES,
      requestTimeout: REQUEST_LIMIT_MS,
      ...ENVELOPE_OPTIONS,
      genReqId: () => randomUUID(),
      ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
    });
    this.#server.server.maxConnections = CONNECTION_LIMIT;
    useErrorEnvelope(this.#server, new Counters());
    this.#server.addHook('onRequest', async (request) => guardAdmin(request.headers, options.token, options.host));
    this.#routeStatus();
    this.#routeNodes();
    this.#routeServices();
    this.#routeQuestions();
    this.#routeDrains();
  }

  /** Listens; port 0 takes any. Rejects with the system's error when it cannot. */
  async listen(host: string, port: number): Promise<number> {
    await this.#server.listen({ host, port });
    const address = this.#server.server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  async close(): Promise<void> {
    this.#server.server.closeAllConnections();
    await this.#server.close();
  }

  #routeStatus(): void {
    const { control, self } = this.#options;
    this.#server.get('/api/v1/status', async () => {
      const [nodes, services, forwards] = await Promise.all([control.nodes(), control.services(), control.forwards()]);
      const header = control.publisher.current?.header;
      const issuedAt = header === undefined ? null : new Date(header.issuedAtMs).toISOString();
      const snapshot = {
        version: header?.version ?? 0,
        issuedAt,
        revocationEpoch: control.publisher.revocations.epoch,
      };
      return { nodes, services, forwards, control: { ...self(), snapshot } };
    });
  }

  #routeNodes(): void {
    const { control, log, addresses } = this.#options;
    this.#server.get('/api/v1/nodes', async () => ({ nodes: await control.nodes() }));
    this.#server.post<{ Params: NodeParams }>('/api/v1/nodes/:name/revoke', async (request) => {
      demandOk(await control.revokeNode(request.params.name));
      log.warn({ node: request.params.name }, 'a node was revoked');
      return { name: request.params.name, revoked: true };
    });
    this.#server.get<{ Params: CertificateParams }>(
      '/api/v1/nodes/:name/certificates/:serial',
      async ({ params: { name, serial } }) => {
        const node = (await control.nodes()).find((each) => each.name === name);
        if (node === undefined) throw new CodedError('NODE_UNKNOWN', `no node is called ${name}`);
        const { spiffeId } = node;
        return { serial, revoked: node.revoked || control.publisher.revocations.isRevoked({ spiffeId, serial }) };
      },
    );
    this.#server.delete<{ Params: NodeParams }>('/api/v1/nodes/:name', async (request, reply) => {
      demandOk(await control.deleteNode(request.params.name));
      return reply.code(204).send();
    });
    this.#server.post<{ Body: TokenBody }>(
      '/api/v1/tokens',
      { schema: { body: tokenSchema } },
      async (request, reply) => {
        const { token, id, node, expiresAtMs } = demandOk(
          await control.createToken({ ...request.body, addresses: addresses() }),
        );
        log.info({ node, tokenId: id }, 'a join token was made');
        return reply.code(201).send({ token, id, node, expiresAt: new Date(expiresAtMs).toISOString() });
      },
    );
  }

  #routeServices(): void {
    const { control } = this.#options;
    const [instance, forward] = ['/api/v1/services/:service/instances/:node', '/api/v1/nodes/:name/forwards/:service'];
    this.#server.get('/api/v1/services', async () => ({
      services: await control.services(),
      forwards: await control.forwards(),
    }));
    this.#server.put<{ Params: InstanceParams; Body: InstanceBody }>(
      instance,
      { schema: { body: instanceSchema } },
      async ({ params, body }) => {
        const wanted = { ...params, proxyProtocol: false, ...body };
        const unchecked = await this.#askFirst(wanted.node, 'check-target', wanted);
        const { replaced = null, loops } = await control.foreseeInstance(wanted);
        demandOk(await control.putInstance(wanted));
        return { ...wanted, unchecked, replaced, loops };
      },
    );
    this.#server.delete<{ Params: InstanceParams }>(instance, async ({ params }, reply) => {
      demandOk(await control.deleteInstance(params.service, params.node));
      return reply.code(204).send();
    });
    this.#server.put<{ Params: ForwardParams; Body: ForwardBody }>(
      forward,
      { schema: { body: forwardSchema } },
      async ({ params, body }) => {
        const wanted = { node: params.name, service: params.service, ...body };
        const isKnown = demandOk(await control.judgeForward(wanted));
        const unchecked = isKnown ? null : await this.#askFirst(wanted.node, 'check-listen', wanted);
        demandOk(await control.putForward(wanted));
        return { ...wanted, unchecked };
      },
    );
    this.#server.delete<{ Params: ForwardParams }>(forward, async ({ params }, reply) => {
      demandOk(await control.deleteForward(params.name, params.service));
      return reply.code(204).send();
    });
  }

  #routeQuestions(): void {
    const { control, hub } = this.#options;
    for (const op of ['peers', 'streams', 'path', 'ping'] as const) {
      this.#server.get<{ Params: NodeParams; Querystring: QuestionQuery }>(
        `/api/v1/nodes/:name/${op}`,
        { schema: { querystring: questionSchema } },
        async ({ params, query }) => {
          if (!(await control.hasNode(params.name)))
            throw new CodedError('NODE_UNKNOWN', `no node is called ${params.name}`);
          if (query.to !== undefined && !(await control.hasNode(query.to))) {
            throw new CodedError('NODE_UNKNOWN', `no node is called ${query.to}`);
          }
          return hub.ask(params.name, op, query);
        },
      );
    }
  }

  #routeDrains(): void {
    const { control, hub, log } = this.#options;
    this.#server.post<{ Params: NodeParams; Body: DrainBody | null }>(
      '/api/v1/nodes/:name/drain',
      { schema: { body: drainSchema } },
      async ({ params: { name }, body }) => {
        demandOk(await control.judgeDrain(name, false));
        const graceSeconds = body?.graceSeconds ?? DEFAULT_GRACE_SECONDS;
        const answer = await hub.ask(name, 'drain', { graceSeconds });
        log.warn({ node: name, graceSeconds }, 'a node is drained');
        return { ...readAnswer(answer), name };
      },
    );
    this.#server.post<{ Params: NodeParams }>('/api/v1/nodes/:name/undrain', async ({ params: { name } }) => {
      const isUp = demandOk(await control.judgeDrain(name, true));
      const answer = isUp ? readAnswer(await hub.ask(name, 'undrain', {})) : { drain: null };
      log.info({ node: name }, 'a drain was taken back');
      return { ...answer, name, state: isUp ? 'up' : 'down' };
    });
  }

  /**
   * A node that is up says at once what it would refuse later. One that cannot be asked is not waited for: the code says why,
   * null that it agreed.
   */
  async #askFirst(
    node: string,
    question: 'check-target' | 'check-listen',
    { host, port }: { readonly host: string; readonly port: number },
  ): Promise<string | null> {
    try {
      await this.#options.hub.ask(node, question, { host, port });
      return null;
    } catch (error) {
      if (!(error instanceof CodedError) || !UNASKED.has(error.code)) throw error;
      return error.code;
    }
  }
}

/** A node's answer is its own JSON; what is no object says nothing. */
function readAnswer(answer: unknown): object {
  return typeof answer === 'object' && answer !== null ? answer : {};
}
