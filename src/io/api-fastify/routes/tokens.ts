import { tokenCreated, tokenSchema } from '#control/contract/nodes.ts';
import { demandOk } from '#io/http-fastify/api-error.ts';
import { type ApiContext, type ApiRoute, defineRoute, shared } from '../route.ts';

/** Join tokens. */
export function tokenRoutes({ control, addresses, log }: ApiContext): readonly ApiRoute[] {
  return [
    defineRoute({
      method: 'POST',
      path: '/tokens',
      schema: { summary: 'make a join token for a new node', body: tokenSchema, answers: { 201: tokenCreated } },
      action: 'tokens:create',
      resource: shared('Token'),
      creates: true,
      handle: async ({ body }) => {
        const { labels, relay, links, ttlSeconds, approve } = body;
        const created = await control.createToken({
          node: body.node,
          ...(labels && { labels }),
          ...(relay !== undefined && { relay }),
          ...(links !== undefined && { links }),
          ...(ttlSeconds !== undefined && { ttlSeconds }),
          ...(approve !== undefined && { needsApproval: approve }),
          addresses: addresses(),
        });
        const { token, id, node, expiresAtMs } = demandOk(created);
        log.info({ node, tokenId: id }, 'a join token was made');
        return { token, id, node, expiresAt: new Date(expiresAtMs).toISOString() };
      },
    }),
  ];
}
