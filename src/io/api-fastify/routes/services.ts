import { CodedError } from '#control/coded-error.ts';
import { nothing, pageQuery } from '#control/contract/common.ts';
import {
  forwardParams,
  forwardPut,
  forwardSchema,
  instanceParams,
  instancePut,
  instanceSchema,
  serviceList,
} from '#control/contract/services.ts';
import type { NodeHub } from '#io/control-https/node-hub.ts';
import { demandOk } from '#io/http-fastify/api-error.ts';
import { pageOf } from '../page.ts';
import { type ApiContext, type ApiRoute, defineRoute, named, shared } from '../route.ts';

/** Why a node did not answer a question, as opposed to its answer. */
const UNASKED: ReadonlySet<string> = new Set([
  'NODE_DOWN',
  'NODE_TIMEOUT',
  'NODE_BUSY',
  'QUESTION_UNKNOWN',
  'INTERNAL',
  'TARGET_UNKNOWN_HOST',
]);

/** Services: where they are published, and where nodes forward to them. */
export function serviceRoutes(context: ApiContext): readonly ApiRoute[] {
  return [listRoute(context), ...instanceRoutes(context), ...forwardRoutes(context)];
}

function listRoute({ reads }: ApiContext): ApiRoute {
  return defineRoute({
    method: 'GET',
    path: '/services',
    schema: { summary: 'the published services, by name', query: pageQuery, answers: { 200: serviceList } },
    action: 'services:read',
    resource: shared('Service'),
    handle: async ({ query }) => {
      const [services, forwards] = await Promise.all([reads.services.read(), reads.forwards.read()]);
      const names = [...new Set([...services.map(({ name }) => name), ...forwards.map(({ service }) => service)])];
      const { page, nextCursor } = pageOf(names, (name) => name, query);
      const shown = new Set(page);
      return {
        services: services.filter(({ name }) => shown.has(name)),
        forwards: forwards.filter(({ service }) => shown.has(service)),
        nextCursor,
      };
    },
  });
}

function instanceRoutes({ control, hub }: ApiContext): readonly ApiRoute[] {
  const path = '/services/:service/instances/:node';
  const common = { path, action: 'services:write', resource: named('Service', 'service') } as const;
  return [
    defineRoute({
      ...common,
      method: 'PUT',
      schema: {
        summary: 'publish a service at a node',
        params: instanceParams,
        body: instanceSchema,
        answers: { 200: instancePut },
      },
      handle: async ({ params, body }) => {
        const wanted = { ...params, proxyProtocol: false, ...body };
        const unchecked = await askFirst(hub, wanted.node, 'check-target', wanted);
        const { replaced = null, loops } = await control.foreseeInstance(wanted);
        demandOk(await control.putInstance(wanted));
        return { ...wanted, unchecked, replaced, loops };
      },
    }),
    defineRoute({
      ...common,
      method: 'DELETE',
      schema: { summary: 'unpublish a service at a node', params: instanceParams, answers: { 204: nothing } },
      handle: async ({ params }) => demandOk(await control.deleteInstance(params.service, params.node)),
    }),
  ];
}

function forwardRoutes({ control, hub }: ApiContext): readonly ApiRoute[] {
  const path = '/nodes/:name/forwards/:service';
  const common = { path, action: 'forwards:write', resource: named('Node', 'name') } as const;
  return [
    defineRoute({
      ...common,
      method: 'PUT',
      schema: {
        summary: 'let a node listen for a service',
        params: forwardParams,
        body: forwardSchema,
        answers: { 200: forwardPut },
      },
      handle: async ({ params, body }) => {
        const wanted = { node: params.name, service: params.service, ...body };
        const isKnown = demandOk(await control.judgeForward(wanted));
        const unchecked = isKnown ? null : await askFirst(hub, wanted.node, 'check-listen', wanted);
        demandOk(await control.putForward(wanted));
        return { ...wanted, unchecked };
      },
    }),
    defineRoute({
      ...common,
      method: 'DELETE',
      schema: { summary: 'close a forward', params: forwardParams, answers: { 204: nothing } },
      handle: async ({ params }) => demandOk(await control.deleteForward(params.name, params.service)),
    }),
  ];
}

/**
 * A node that is up says at once what it would refuse later. One that cannot be asked is not waited for: the code says why,
 * null that it agreed.
 */
async function askFirst(
  hub: NodeHub,
  node: string,
  question: 'check-target' | 'check-listen',
  { host, port }: { readonly host: string; readonly port: number },
): Promise<string | null> {
  try {
    await hub.ask(node, question, { host, port });
    return null;
  } catch (error) {
    if (!(error instanceof CodedError) || !UNASKED.has(error.code)) throw error;
    return error.code;
  }
}
