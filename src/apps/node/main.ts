import { runInDirectory } from '#io/files-node/directory-lock.ts';
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
  return await runInDirectory(config.dataDir, async () => composeNode(config, signal));
}
