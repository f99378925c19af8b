import { ensurePrivateDirectory } from '#io/files-node/private-files.ts';
import { lockDirectory } from '#io/store-sqlite/directory-lock.ts';
import { composeNode, type RunningNode } from './compose.ts';
import type { NodeConfig } from './config.ts';

/**
 * Runs a node in `config.dataDir` until `stop`. Waits for a control plane that is away. Rejects with a `CodedError`:
 * DATA_DIR_IN_USE, PORT_IN_USE, JOIN_NEEDED, USAGE and what an enrolment can be refused with.
 */
export async function runNode(
  config: NodeConfig,
  signal: AbortSignal = new AbortController().signal,
): Promise<RunningNode> {
  ensurePrivateDirectory(config.dataDir);
  const lock = lockDirectory(config.dataDir);
  try {
    const running = await composeNode(config, signal);
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
