import { CodedError } from '#control/coded-error.ts';
import { storageFailure } from '#io/files-node/storage-failure.ts';

/** SQLITE_BUSY and SQLITE_LOCKED. */
const BUSY: ReadonlySet<unknown> = new Set([5, 6]);

/** What SQLite refused, in this program's codes; while it serves, strangers read the message, and the path is none of theirs. */
export function sqliteFailure(error: unknown, path = 'the database of the control plane'): unknown {
  if (error instanceof Error && 'errcode' in error && BUSY.has(Number(error.errcode) & 0xff))
    return new CodedError('DATABASE_BUSY', `${path}: another program holds it`, { cause: error });
  return storageFailure(error, path);
}
