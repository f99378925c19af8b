/** A row is at most 1 kB, so these fit an answer to the control plane; a person reads fewer. */
const ROW_LIMIT = 500;

/** What an answer says of a list: its first rows, and if that is not all of them, how many there are. */
export function firstRows<T>(key: string, all: readonly T[], describe: (row: T) => unknown): Record<string, unknown> {
  const rows = all.slice(0, ROW_LIMIT).map(describe);
  return all.length > ROW_LIMIT ? { [key]: rows, truncated: true, total: all.length } : { [key]: rows };
}
