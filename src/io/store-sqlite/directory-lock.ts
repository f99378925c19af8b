import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CodedError } from '#control/coded-error.ts';
import { ensurePrivateDirectory, ensurePrivateFile } from '#io/files-node/private-files.ts';
import { storageFailure } from '#io/files-node/storage-failure.ts';

/** Held until released or until the process ends, however it ends: the lock is the kernel's, there is no stale file. */
export interface DirectoryLock {
  release(): void;
}

const LOCK_FILE = 'lock';

/**
 * Takes a directory for this process alone; throws DATA_DIR_IN_USE when another process (or this one) has it, and
 * DATA_DAMAGED, DATA_DIR_UNUSABLE or DISK_FULL when its lock cannot be used.
 */
export function lockDirectory(directory: string): DirectoryLock {
  const path = join(directory, LOCK_FILE);
  ensurePrivateFile(path);
  const connection = openLock(path);
  try {
    connection.exec('PRAGMA journal_mode = DELETE; PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
  } catch (error) {
    connection.close();
    if (!isBusy(error)) throw storageFailure(error, path);
    const message = `the data directory ${directory} is in use by another x0; stop that one or choose another --data-dir`;
    throw new CodedError('DATA_DIR_IN_USE', message);
  }
  return { release: () => connection.close() };
}

function openLock(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path);
  } catch (error) {
    throw storageFailure(error, path);
  }
}

/** SQLITE_BUSY. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === 5;
}

/** Starts a program that has `directory` for itself until its `stop` ends, or until it fails to start. */
export async function runInDirectory<T extends { stop(): Promise<void> }>(
  directory: string,
  start: () => Promise<T>,
): Promise<T> {
  ensurePrivateDirectory(directory);
  const lock = lockDirectory(directory);
  try {
    const running = await start();
    const stop = async (): Promise<void> => {
      try {
        await running.stop();
      } finally {
        lock.release();
      }
    };
    return { ...running, stop };
  } catch (error) {
    lock.release();
    throw error;
  }
}
