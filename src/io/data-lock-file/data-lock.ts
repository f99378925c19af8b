import { mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '#control/coded-error.ts';

/** A data directory that is ours until {@link DataLock.release}. */
export interface DataLock {
  release(): void;
}

/**
 * Takes `dataDir` for this process, or throws `DATA_DIR_IN_USE`. The file holds the owner's pid and start time, so that one
 * left behind by a crash, even by a pid that came again, does not count.
 */
export function lockDataDir(dataDir: string, name: string): DataLock {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = join(dataDir, `${name}.lock`);
  const mine = ownerLine(process.pid);
  if (mine === undefined) throw new CodedError('DATA_DIR_IN_USE', 'this system does not say when processes started');
  if (!writeNew(path, mine)) {
    const owner = readFileSync(path, 'utf8');
    const pid = Number(owner.split(' ')[0]);
    if (ownerLine(pid) === owner) {
      throw new CodedError(
        'DATA_DIR_IN_USE',
        `${dataDir} is in use by process ${pid}; stop it or choose another --data-dir`,
      );
    }
    unlinkSync(path);
    if (!writeNew(path, mine)) throw new CodedError('DATA_DIR_IN_USE', `${dataDir} was just taken by another process`);
  }
  return {
    release: () => {
      if (readFileSync(path, 'utf8') === mine) unlinkSync(path);
    },
  };
}

function writeNew(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** `pid start-time`, or undefined when there is no such process. */
function ownerLine(pid: number): string | undefined {
  if (!Number.isInteger(pid) || pid < 1) return undefined;
  if (process.platform !== 'linux') return isAlive(pid) ? `${pid} ` : undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // proc(5): the name in field 2 may hold anything but ends at the last ")"; the start time is field 22.
    return `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
