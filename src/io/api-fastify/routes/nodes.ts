import { CodedError } from '#control/coded-error.ts';
import { nameParams, nothing, pageQuery } from '#control/contract/common.ts';
import {
  certificateParams,
  certificateState,
  drainAnswer,
  drainSchema,
  nodeAnswer,
  nodeList,
  nodeRevoked,
  questionSchema,
  undrainAnswer,
} from '#control/contract/nodes.ts';
import { demandOk } from '#io/http-fastify/api-error.ts';
import { pageOf } from '../page.ts';
import { type ApiContext, type ApiRoute, defineRoute, named, shared } from '../route.ts';

/** Most requests and chats end in this; what is longer moves or is cut. */
const DEFAULT_GRACE_SECONDS = 30;

/** Nodes: who is a member, what each says, and how they go. */
export function nodeRoutes(context: ApiContext): readonly ApiRoute[] {
  return [...memberRoutes(context), ...questionRoutes(context), ...drainRoutes(context)];
}

function memberRoutes({ control, log, reads }: ApiContext): readonly ApiRoute[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/nodes',
      schema: { summary: 'the nodes that were admitted, by name', query: pageQuery, answers: { 200: nodeList } },
      action: 'nodes:read',
      resource: shared('Node'),
      handle: async ({ query }) => {
        const { page, nextCursor } = pageOf(await reads.nodes.read(), (node) => node.name, query);
        return { nodes: page, nextCursor };
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/nodes/:name/revoke',
      schema: { summary: 'refuse a node from now on', params: nameParams, answers: { 200: nodeRevoked } },
      action: 'nodes:revoke',
      resource: named('Node', 'name'),
      handle: async ({ params: { name } }) => {
        demandOk(await control.revokeNode(name));
        log.warn({ node: name }, 'a node was revoked');
        return { name, revoked: true };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/nodes/:name/certificates/:serial',
      schema: {
        summary: 'whether a certificate of a node was revoked',
        params: certificateParams,
        answers: { 200: certificateState },
      },
      action: 'certificates:read',
      resource: named('Certificate', 'serial'),
      handle: async ({ params: { name, serial } }) => {
        const node = (await control.nodes()).find((each) => each.name === name);
        if (node === undefined) throw new CodedError('NODE_UNKNOWN', `no node is called ${name}`);
        const { spiffeId } = node;
        return { serial, revoked: node.revoked || control.publisher.revocations.isRevoked({ spiffeId, serial }) };
      },
    }),
    defineRoute({
      method: 'DELETE',
      path: '/nodes/:name',
      schema: { summary: 'revoke a node and forget it', params: nameParams, answers: { 204: nothing } },
      action: 'nodes:delete',
      resource: named('Node', 'name'),
      handle: async ({ params: { name } }) => {
        demandOk(await control.deleteNode(name));
        log.warn({ node: name }, 'a node was deleted');
      },
    }),
  ];
}

function questionRoutes({ control, hub }: ApiContext): readonly ApiRoute[] {
  const demandNode = async (name: string): Promise<void> => {
    if (!(await control.hasNode(name))) throw new CodedError('NODE_UNKNOWN', `no node is called ${name}`);
  };
  return (['peers', 'streams', 'path', 'ping'] as const).map((op) =>
    defineRoute({
      method: 'GET',
      path: `/nodes/:name/${op}`,
      schema: {
        summary: `asks a node for its ${op}`,
        params: nameParams,
        query: questionSchema,
        answers: { 200: nodeAnswer },
      },
      action: 'nodes:inspect',
      resource: named('Node', 'name'),
      handle: async ({ params, query }) => {
        await demandNode(params.name);
        if (query.to !== undefined) await demandNode(query.to);
        return await hub.ask(params.name, op, query);
      },
    }),
  );
}

function drainRoutes({ control, hub, log }: ApiContext): readonly ApiRoute[] {
  return [
    defineRoute({
      method: 'POST',
      path: '/nodes/:name/drain',
      schema: {
        summary: 'take a node out of service',
        params: nameParams,
        body: drainSchema,
        answers: { 200: drainAnswer },
      },
      action: 'nodes:drain',
      resource: named('Node', 'name'),
      handle: async ({ params: { name }, body }) => {
        demandOk(await control.judgeDrain(name, false));
        const graceSeconds = body.graceSeconds ?? DEFAULT_GRACE_SECONDS;
        const answer = await hub.ask(name, 'drain', { graceSeconds });
        log.warn({ node: name, graceSeconds }, 'a node is drained');
        return { ...readAnswer(answer), name };
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/nodes/:name/undrain',
      schema: { summary: 'take a drain back', params: nameParams, answers: { 200: undrainAnswer } },
      action: 'nodes:drain',
      resource: named('Node', 'name'),
      handle: async ({ params: { name } }) => {
        const isUp = demandOk(await control.judgeDrain(name, true));
        const answer = isUp ? readAnswer(await hub.ask(name, 'undrain', {})) : { drain: null };
        log.info({ node: name }, 'a drain was taken back');
        return { ...answer, name, state: isUp ? 'up' : 'down' };
      },
    }),
  ];
}

/** A node's answer is its own JSON; what is no object says nothing. */
function readAnswer(answer: unknown): object {
  return typeof answer === 'object' && answer !== null ? answer : {};
}
