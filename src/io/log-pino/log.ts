import { pino, type Logger } from 'pino';

/** Lines that wait for a disk that is full; what is more is dropped. */
const MOST_WAITING_BYTES = 65_536;

/**
 * JSON lines to a file descriptor (standard error unless told otherwise), without the values at `secrets`. A line that
 * cannot be written is no failure of whoever wrote it: a full disk must not end the program that tells of it.
 */
export function openLog(name: string, secrets: readonly string[], descriptor = 2): Logger {
  const destination = pino.destination({ dest: descriptor, sync: true, maxLength: MOST_WAITING_BYTES });
  destination.on('error', () => undefined);
  return pino({ name, redact: { paths: [...secrets], censor: '(hidden)' } }, destination);
}
