import { auditCheckpointList, auditEntryList } from '#control/contract/audit.ts';
import { PAGE_LIMIT_MOST, type PageQuery, pageQuery } from '#control/contract/common.ts';
import { CodedError } from '#control/coded-error.ts';
import { readCursor, writeCursor } from '../page.ts';
import { type ApiContext, type ApiRoute, defineRoute, shared } from '../route.ts';

/** The log of changes and denials, in its order. */
export function auditRoutes({ auditStore }: ApiContext): readonly ApiRoute[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/audit',
      schema: { summary: 'entries of the audit log', query: pageQuery, answers: { 200: auditEntryList } },
      action: 'audit:read',
      resource: shared('Audit'),
      handle: async ({ query }) => {
        const { afterSeq, limit } = rangeOf(query);
        const entries = await auditStore.list(afterSeq, limit);
        return { entries, nextCursor: cursorAfter(entries, limit) };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/audit/checkpoints',
      schema: { summary: 'signed checkpoints of the log', query: pageQuery, answers: { 200: auditCheckpointList } },
      action: 'audit:read',
      resource: shared('Audit'),
      handle: async ({ query }) => {
        const { afterSeq, limit } = rangeOf(query);
        const found = await auditStore.listCheckpoints(afterSeq, limit);
        const checkpoints = found.map((each) => ({
          ...each,
          signature: each.signature.toBase64(),
          signer: each.signer.toBase64(),
          issuer: each.issuer.toBase64(),
        }));
        return { checkpoints, nextCursor: cursorAfter(found, limit) };
      },
    }),
  ];
}

function rangeOf({ cursor, limit = PAGE_LIMIT_MOST }: PageQuery): {
  readonly afterSeq: number;
  readonly limit: number;
} {
  const afterSeq = Number(readCursor(cursor) ?? 0);
  if (!Number.isSafeInteger(afterSeq) || afterSeq < 0)
    throw new CodedError('CURSOR_INVALID', 'this is no nextCursor of an earlier page');
  return { afterSeq, limit };
}

function cursorAfter(found: readonly { readonly seq: number }[], limit: number): string | null {
  const last = found.at(-1);
  return last === undefined || found.length < limit ? null : writeCursor(String(last.seq));
}
