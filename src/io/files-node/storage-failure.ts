import { codeOf } from '#kernel/code-of.ts';
import { CodedError } from '#control/coded-error.ts';

const SYSTEM_CODES: ReadonlyMap<string, string> = new Map([
  ['ENOSPC', 'DISK_FULL'],
  ['EDQUOT', 'DISK_FULL'],
  ['EROFS', 'DATA_DIR_UNUSABLE'],
  ['EACCES', 'DATA_DIR_UNUSABLE'],
  ['EPERM', 'DATA_DIR_UNUSABLE'],
  ['EISDIR', 'DATA_DAMAGED'],
  ['ENOTDIR', 'DATA_DAMAGED'],
  ['EIO', 'DATA_DAMAGED'],
]);

/** SQLite maps a part of its log into memory, and this is how a full disk looks there: IOERR_SHMSIZE. */
const NO_ROOM_FOR_SHARED_MEMORY = 4874;
/** SQLite's primary result codes: READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB. */
const SQLITE_CODES: ReadonlyMap<number, string> = new Map([
  [8, 'DATA_DIR_UNUSABLE'],
  [10, 'DATA_DIR_UNUSABLE'],
  [11, 'DATA_DAMAGED'],
  [13, 'DISK_FULL'],
  [14, 'DATA_DIR_UNUSABLE'],
  [26, 'DATA_DAMAGED'],
]);

/**
 * What went wrong with the file at `path`, or with what that says, as DISK_FULL, DATA_DIR_UNUSABLE or DATA_DAMAGED; the error itself when it is none
 * of storage.
 */
export function storageFailure(error: unknown, path: string): unknown {
  if (error instanceof CodedError || !(error instanceof Error)) return error;
  const code = stableCode(error);
  return code === undefined ? error : new CodedError(code, `${path}: ${error.message}`, { cause: error });
}

function stableCode(error: Error): string | undefined {
  if ('errcode' in error && typeof error.errcode === 'number') {
    return error.errcode === NO_ROOM_FOR_SHARED_MEMORY ? 'DISK_FULL' : SQLITE_CODES.get(error.errcode & 0xff);
  }
  return SYSTEM_CODES.get(codeOf(error) ?? '');
}
