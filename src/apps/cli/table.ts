import { plainText } from '#kernel/plain-text.ts';
import { isObject, type JsonObject } from '#io/admin-client-http/admin-client.ts';

/** A column of a table: its title and what a row shows there. */
export interface Column {
  readonly title: string;
  readonly show: (row: JsonObject) => string;
}

/** Rows under titles, each column as wide as its widest cell; `none` when there are no rows. */
export function formatTable(columns: readonly Column[], rows: readonly JsonObject[], none: string): string {
  if (rows.length === 0) return none;
  const lines = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => column.show(row))),
  ];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => (line[index] ?? '').length)));
  return lines
    .map((line) =>
      line
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** A column that shows the member `key` of its row. */
export function member(title: string, key: string): Column {
  return { title, show: (row) => cellText(row[key]) };
}

/** Any JSON value in one cell; control characters of other people's names do not reach the terminal. */
export function cellText(value: unknown): string {
  if (value === undefined || value === null) return '-';
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(cellText).join(',');
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value);
  return plainText(text);
}

/** An ISO 8601 date to the second. */
export function dateText(value: unknown): string {
  return cellText(value).replace(/\.\d+Z$/, 'Z');
}

/** Whether a node is `up`, `down`, `revoked`, `draining` before it stops, or `drained` after. */
export function stateText(node: JsonObject): string {
  if (node['revoked'] === true) return 'revoked';
  const drain = node['drain'];
  return drain === 'draining' || drain === 'drained' ? drain : cellText(node['state']);
}

/** Whether it serves: a node that drains does until it stops. */
export function isUp(node: JsonObject): boolean {
  return node['revoked'] !== true && node['state'] === 'up';
}

/** The objects of the array `key` of `value`; empty when there is none. */
export function objectsOf(value: unknown, key: string): readonly JsonObject[] {
  const list = isObject(value) ? value[key] : undefined;
  return Array.isArray(list) ? list.filter(isObject) : [];
}

/** The member `key` as text. */
export function textOf(value: JsonObject, key: string): string {
  return cellText(value[key]);
}
