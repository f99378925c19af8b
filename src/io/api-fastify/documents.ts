import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import helmet from '@fastify/helmet';
import type { FastifyInstance, FastifySchema } from 'fastify';
import type { TSchema } from 'typebox';
import { errorEnvelope } from '#control/contract/common.ts';
import type { ApiRoute } from './route.ts';

/** What any route may answer besides its own. */
const FAILURES = [400, 401, 403, 404, 405, 408, 409, 413, 415, 421, 422, 429, 431, 500, 503, 504, 507] as const;

/** The pages of `/docs` are files of this machine; nothing of other origins is loaded or sent. */
const DOCS_POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** OpenAPI 3.1 at `/openapi.json`, pages to try it at `/docs`, and headers that keep browsers from doing more than asked. */
export async function addDocuments(server: FastifyInstance, version: string): Promise<void> {
  await server.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    // There is no TLS here to insist on.
    strictTransportSecurity: false,
    referrerPolicy: { policy: 'no-referrer' },
  });
  server.addSchema(errorEnvelope);
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'x0tta6bl4', description: 'Administration of a mesh.', version },
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            description: 'a session of `/users/login`, an API key, or the content of `admin.token`',
          },
        },
      },
      security: [{ bearer: [] }],
    },
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, i) => (typeof $id === 'string' ? $id : `def-${i}`),
    },
  });
  await server.register(swaggerUi, { routePrefix: '/docs', staticCSP: DOCS_POLICY });
  let text: string | undefined;
  server.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    text ??= JSON.stringify(server.swagger());
    return reply.type('application/json').send(text);
  });
}

/** What fastify and the OpenAPI file are told of a route. */
export function schemaOf(route: ApiRoute): FastifySchema {
  const { params, query, body, summary, answers } = route.schema;
  const isOpen = route.action === 'open';
  const response: Record<number, TSchema | object> = {};
  for (const status of FAILURES) response[status] = { description: 'refused', $ref: 'ErrorEnvelope#' };
  for (const [status, schema] of Object.entries(answers)) response[Number(status)] = described(schema);
  if (route.method === 'GET') response[304] = { type: 'null', description: 'it is as If-None-Match says' };
  return {
    summary,
    tags: [route.path.split('/')[1] ?? ''],
    operationId: operationId(route),
    ...(isOpen ? { security: [] } : { security: [{ bearer: [] }] }),
    'x-action': route.action,
    ...(params && { params }),
    ...(query && { querystring: query }),
    ...(body && { body }),
    ...headersOf(route),
    response,
  } as FastifySchema;
}

function described(schema: TSchema): object {
  return { description: 'done', ...schema };
}

/** Shown only: fastify gives a header that is missing to nobody. */
function headersOf({ creates }: ApiRoute): object {
  if (creates !== true) return {};
  const key = {
    type: 'string',
    pattern: '^[\\x21-\\x7e]{1,128}$',
    description: 'the same key makes the same thing once',
  };
  return { headers: { type: 'object', properties: { 'idempotency-key': key } } };
}

function operationId({ method, path }: ApiRoute): string {
  const words = path.split(/[/:-]+/).filter((word) => word !== '');
  return [method.toLowerCase(), ...words.map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)].join('');
}
