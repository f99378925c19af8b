import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  chmodSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { CodedError } from '#control/coded-error.ts';
import { storageFailure } from '#io/files-node/storage-failure.ts';

/** Writes some of `bytes` from `offset` on and returns how many, as `writeSync` does. */
type WriteSome = (file: number, bytes: Uint8Array, offset: number) => number;

const writeSome: WriteSome = (file, bytes, offset) => writeSync(file, bytes, offset);

/**
 * Makes a directory that only its owner can enter, and its parents. Throws DATA_DIR_UNUSABLE where none can be made, and for
 * one that holds something and is open to others: it is hardly ours, and closing /tmp or a home to others would harm.
 */
export function ensurePrivateDirectory(path: string): void {
  try {
    makeDirectory(path);
    if ((statSync(path).mode & 0o077) === 0) return;
    if (readdirSync(path).length > 0)
      throw new Error('it is not empty and others may enter it; chmod 700 it, or choose another');
    chmodSync(path, 0o700);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CodedError('DATA_DIR_UNUSABLE', `${path} cannot be used as a directory: ${why}`);
  }
}

/** Not `mkdir` with `recursive`: that tries for ever where a parent exists and takes no directories, as /proc does. */
function makeDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectory(parent);
  mkdirSync(path, { mode: 0o700 });
}

/**
 * Writes a 0600 file so that a crash or a full disk leaves the old content or the new, never a part. Throws DISK_FULL or
 * DATA_DIR_UNUSABLE, and DATA_DAMAGED where `path` is a directory. `write` is for tests.
 */
export function writePrivateFile(path: string, content: string | Uint8Array, write: WriteSome = writeSome): void {
  const unfinished = `${path}.new`;
  try {
    writeWhole(unfinished, typeof content === 'string' ? Buffer.from(content) : content, write);
    renameSync(unfinished, path);
    syncDirectory(dirname(path));
  } catch (error) {
    removeUnfinished(unfinished);
    throw storageFailure(error, path);
  }
}

function writeWhole(path: string, bytes: Uint8Array, write: WriteSome): void {
  const file = openSync(path, 'w', 0o600);
  try {
    // A nearly full disk takes a part without an error; only the next write is refused.
    for (let written = 0; written < bytes.byteLength; ) written += write(file, bytes, written);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  chmodSync(path, 0o600);
}

/** Whatever goes wrong here is the same trouble as before, and that one is told. */
function removeUnfinished(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

/**
 * Makes an empty 0600 file, or closes the one that is there to others, for a library that opens it by its path. Never opens
 * one that is there: closing it again would take this process's own locks on it.
 */
export function ensurePrivateFile(path: string): void {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) closeSync(openSync(path, 'wx', 0o600));
    else if (!found.isFile()) throw new CodedError('DATA_DAMAGED', `${path} is not a file; remove it or restore it`);
    else if ((found.mode & 0o077) !== 0) chmodSync(path, 0o600);
  } catch (error) {
    throw storageFailure(error, path);
  }
}

/**
 * The content of a file that must be private, or undefined where there is none. Throws FILE_NOT_PRIVATE if others may read
 * it, DATA_DAMAGED where it is no file.
 */
export function readPrivateFile(path: string): Buffer | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (!found.isFile()) throw new CodedError('DATA_DAMAGED', `${path} is not a file; remove it or restore it`);
  if ((found.mode & 0o077) !== 0) {
    throw new CodedError('FILE_NOT_PRIVATE', `${path} may be read by others; chmod 600 it, and replace the key in it`);
  }
  try {
    return readFileSync(path);
  } catch (error) {
    throw storageFailure(error, path);
  }
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
