import { nothing, PAGE_LIMIT_MOST, type PageQuery, pageQuery } from '#control/contract/common.ts';
import { certificateList, tokenList, tokenParams } from '#control/contract/inventory.ts';
import { CodedError } from '#control/coded-error.ts';
import { nextPage, nextPageBy, readCursor } from '../page.ts';
import { type ApiContext, type ApiRoute, defineRoute, named, shared } from '../route.ts';

/** What was given out: join tokens, and certificates of nodes. */
export function inventoryRoutes({ inventory, wallMs, log }: ApiContext): readonly ApiRoute[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/tokens',
      schema: { summary: 'join tokens, without their secrets', query: pageQuery, answers: { 200: tokenList } },
      action: 'tokens:read',
      resource: shared('Token'),
      handle: async ({ query }) => {
        const { after, limit } = rangeOf(query);
        const { page, nextCursor } = nextPage(await inventory.listTokens(after, limit + 1), limit);
        const tokens = page.map(({ id, node, relay, labels, createdAtMs, expiresAtMs, usedAtMs }) => ({
          id,
          node,
          relay,
          labels,
          createdAt: timeOf(createdAtMs),
          expiresAt: timeOf(expiresAtMs),
          usedAt: usedAtMs === null ? null : timeOf(usedAtMs),
        }));
        return { tokens, nextCursor };
      },
    }),
    defineRoute({
      method: 'DELETE',
      path: '/tokens/:id',
      schema: {
        summary: 'take back a join token that nobody has used',
        params: tokenParams,
        answers: { 204: nothing },
      },
      action: 'tokens:revoke',
      resource: named('Token', 'id'),
      handle: async ({ params: { id } }) => {
        if (!(await inventory.revokeToken(id)))
          throw new CodedError('NOT_FOUND', 'there is no such token, or it was used');
        log.info({ tokenId: id }, 'a join token was taken back');
        return null;
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/certificates',
      schema: {
        summary: 'certificates of nodes that have not expired, revoked ones too',
        query: pageQuery,
        answers: { 200: certificateList },
      },
      action: 'certificates:read',
      resource: shared('Certificate'),
      handle: async ({ query }) => {
        const { after, limit } = rangeOf(query);
        const found = await inventory.listCertificates(after, limit + 1, wallMs());
        const { page, nextCursor } = nextPageBy(found, limit, ({ serial }) => serial);
        const certificates = page.map(({ issuedAtMs, notAfterMs, ...each }) => ({
          ...each,
          issuedAt: timeOf(issuedAtMs),
          notAfter: timeOf(notAfterMs),
        }));
        return { certificates, nextCursor };
      },
    }),
  ];
}

function rangeOf({ cursor, limit = PAGE_LIMIT_MOST }: PageQuery): { readonly after: string; readonly limit: number } {
  return { after: readCursor(cursor) ?? '', limit };
}

function timeOf(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
