import type { Logger } from 'pino';
import { ensurePrivateDirectory } from '#io/files-node/private-files.ts';
import { lockDirectory } from '#io/store-sqlite/directory-lock.ts';
import { composeControl } from './compose.ts';
import type { RunningControl } from './compose.ts';
import type { ControlConfig } from './config.ts';

/**
 * Runs a control plane in `config.dataDir` until `stop`. Rejects with a `CodedError`, one line each: DATA_DIR_IN_USE,
 * PORT_IN_USE, ADDRESS_NOT_HERE, PORT_NOT_ALLOWED, FILE_NOT_PRIVATE, DATA_INCOMPLETE, DATA_DAMAGED, DATA_TOO_NEW,
 * DISK_FULL, TRUST_DOMAIN_DIFFERS, CERT_EXPIRED, CERT_NOT_YET_VALID.
 */
export async function runControlPlane(config: ControlConfig, log?: Logger): Promise<RunningControl> {
  ensurePrivateDirectory(config.dataDir);
  const lock = lockDirectory(config.dataDir);
  try {
    const running = await composeControl(config, log);
    const stop = async (): Promise<void> => {
      await running.stop();
      lock.release();
    };
    return { ...running, stop };
  } catch (error) {
    lock.release();
    throw error;
  }
}
