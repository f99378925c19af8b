import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
/** Who holds the lock, for people: only the lock itself says that somebody does. */
const HOLDER_FILE = 'lock.pid';

/** The process that has a directory; `pid` is undefined where it could not leave its number. */
export interface DirectoryHolder {
  readonly pid: number | undefined;
}

/** Who works in `directory` now; undefined when nobody does, or when there is no such directory. */
export function directoryHolder(directory: string): DirectoryHolder | undefined {
  if (statSync(join(directory, LOCK_FILE), { throwIfNoEntry: false }) === undefined) return undefined;
  try {
    lockDirectory(directory).release();
    return undefined;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return error.code === 'DATA_DIR_IN_USE' ? { pid: readHolder(directory) } : undefined;
  }
}

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
    const pid = readHolder(directory);
    const who = pid === undefined ? 'another x0' : `another x0, process ${pid}`;
    throw new CodedError('DATA_DIR_IN_USE', `the data directory ${directory} is in use by ${who}`);
  }
  leaveHolder(directory);
  return {
    release: () => {
      removeHolder(directory);
      connection.close();
    },
  };
}

/** A full disk keeps nobody from working in a directory: then its holder has no number. */
function leaveHolder(directory: string): void {
  try {
    writeFileSync(join(directory, HOLDER_FILE), `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    removeHolder(directory);
  }
}

function removeHolder(directory: string): void {
  try {
    rmSync(join(directory, HOLDER_FILE), { force: true });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

/** A process that was killed leaves its number behind: one that lives no more is nobody. */
function readHolder(directory: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(directory, HOLDER_FILE), 'utf8'));
    if (!Number.isInteger(pid) || pid < 1) return undefined;
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return undefined;
  }
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
