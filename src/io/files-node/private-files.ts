import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  chmodSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { CodedError } from '#control/coded-error.ts';

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

/** Writes a 0600 file so that a crash leaves the old content or the new, never a part. */
export function writePrivateFile(path: string, content: string | Uint8Array): void {
  const unfinished = `${path}.new`;
  const file = openSync(unfinished, 'w', 0o600);
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    writeSync(file, bytes, 0, bytes.byteLength, 0);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  chmodSync(unfinished, 0o600);
  renameSync(unfinished, path);
  syncDirectory(dirname(path));
}

/** The content of a file that must be private, or undefined where there is none. Throws FILE_NOT_PRIVATE if others may read it. */
export function readPrivateFile(path: string): Buffer | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if ((found.mode & 0o077) !== 0) {
    throw new CodedError('FILE_NOT_PRIVATE', `${path} may be read by others; chmod 600 it, and replace the key in it`);
  }
  return readFileSync(path);
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
