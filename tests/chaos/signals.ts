import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Ends the process by its `exit` handlers when it is interrupted; they end its children and remove what it made. The signals stay
 * handled, because the same interruption comes several times: to the whole group, from npm, and from the launcher.
 */
export function endOnSignals(): void {
  for (const signal of SIGNALS) process.on(signal, () => process.exit(128 + constants.signals[signal]));
}
