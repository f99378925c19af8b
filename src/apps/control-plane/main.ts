import type { Logger } from 'pino';
import type { ApiLimits } from '#io/api-fastify/api-server.ts';
import { runInDirectory } from '#io/files-node/directory-lock.ts';
import { composeControl } from './compose.ts';
import type { RunningControl } from './compose.ts';
import type { ControlConfig } from './config.ts';

/**
 * Runs a control plane in `config.dataDir` until `stop`. Rejects with a `CodedError`, one line each: DATA_DIR_IN_USE,
 * PORT_IN_USE, ADDRESS_NOT_HERE, PORT_NOT_ALLOWED, FILE_NOT_PRIVATE, DATA_INCOMPLETE, DATA_DAMAGED, DATA_TOO_NEW,
 * DISK_FULL, TRUST_DOMAIN_DIFFERS, CERT_EXPIRED, CERT_NOT_YET_VALID.
 */
export async function runControlPlane(
  config: ControlConfig,
  log?: Logger,
  limits?: Partial<ApiLimits>,
): Promise<RunningControl> {
  return await runInDirectory(config.dataDir, async () => composeControl(config, log, limits));
}
