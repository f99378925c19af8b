import { CodedError } from '#control/coded-error.ts';
import { PAGE_LIMIT_MOST } from '#control/contract/common.ts';
import type { PageQuery } from '#control/contract/common.ts';

const CURSOR = /^[A-Za-z0-9_-]+$/;

/** One page of `items` by their keys, which are unique, and where the next begins. Throws CURSOR_INVALID. */
export function pageOf<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  query: PageQuery,
): { readonly page: readonly T[]; readonly nextCursor: string | null } {
  const after = readCursor(query.cursor);
  const limit = query.limit ?? PAGE_LIMIT_MOST;
  const rest = items.filter((item) => after === undefined || keyOf(item) > after).sort(byKey(keyOf));
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return { page, nextCursor: rest.length > limit && last !== undefined ? writeCursor(keyOf(last)) : null };
}

function byKey<T>(keyOf: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => (keyOf(a) < keyOf(b) ? -1 : 1);
}

/** A page of what was listed with one more than `limit`, by id. */
export function nextPage<T extends { readonly id: string }>(
  found: readonly T[],
  limit: number,
): { readonly page: readonly T[]; readonly nextCursor: string | null } {
  return nextPageBy(found, limit, ({ id }) => id);
}

/** The same by another key. */
export function nextPageBy<T>(
  found: readonly T[],
  limit: number,
  keyOf: (item: T) => string,
): { readonly page: readonly T[]; readonly nextCursor: string | null } {
  const page = found.slice(0, limit);
  const last = page.at(-1);
  return { page, nextCursor: found.length > limit && last !== undefined ? writeCursor(keyOf(last)) : null };
}

/** A cursor for what comes after `key`. */
export function writeCursor(key: string): string {
  return Buffer.from(`1${key}`).toString('base64url');
}

/** The key that a cursor was made of; undefined for the first page. Throws CURSOR_INVALID. */
export function readCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const text = CURSOR.test(cursor) ? Buffer.from(cursor, 'base64url').toString() : '';
  if (!text.startsWith('1') || text.includes('\uFFFD') || text.includes('\0'))
    throw new CodedError('CURSOR_INVALID', 'this is no nextCursor of an earlier page');
  return text.slice(1);
}
