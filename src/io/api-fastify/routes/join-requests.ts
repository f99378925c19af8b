import { pageQuery } from '#control/contract/common.ts';
import { joinDecided, joinRequestList, requestParams } from '#control/contract/join-requests.ts';
import { CodedError } from '#control/coded-error.ts';
import { pageOf } from '../page.ts';
import { type ApiContext, type ApiRoute, defineRoute, named, shared } from '../route.ts';

/** Nodes that wait to be let in. */
export function joinRequestRoutes({ joinRequests, wallMs, log }: ApiContext): readonly ApiRoute[] {
  const decisions = (['approved', 'denied'] as const).map((state) =>
    defineRoute({
      method: 'POST',
      path: `/join-requests/:id/${state === 'approved' ? 'approve' : 'deny'}`,
      schema: {
        summary: state === 'approved' ? 'let a node in that waits' : 'refuse a node that waits, for good',
        params: requestParams,
        answers: { 200: joinDecided },
      },
      action: 'nodes:approve',
      resource: named('JoinRequest', 'id'),
      handle: async ({ params: { id }, caller }) => {
        const by = caller?.principal.id ?? '';
        if (!(await joinRequests.decide(id, state, by, wallMs())))
          throw new CodedError('REQUEST_UNKNOWN', 'no node waits with this request any more');
        log.info({ request: id, state }, 'a request to join was decided');
        return { id, state };
      },
    }),
  );
  return [
    defineRoute({
      method: 'GET',
      path: '/join-requests',
      schema: { summary: 'nodes that wait to be let in', query: pageQuery, answers: { 200: joinRequestList } },
      action: 'nodes:read',
      resource: shared('JoinRequest'),
      handle: async ({ query }) => {
        const { page, nextCursor } = pageOf(await joinRequests.listWaiting(wallMs()), ({ id }) => id, query);
        const requests = page.map(({ keyHash, askedAtMs, expiresAtMs, ...each }) => ({
          ...each,
          keySha256: keyHash,
          askedAt: new Date(askedAtMs).toISOString(),
          expiresAt: new Date(expiresAtMs).toISOString(),
        }));
        return { requests, nextCursor };
      },
    }),
    ...decisions,
  ];
}
