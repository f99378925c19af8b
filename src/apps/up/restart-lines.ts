import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writePrivateFile } from '#io/files-node/private-files.ts';

/** Keeps, by name, the lines that start the programs of the mesh again, for `x0 status`. */
export function rememberRestarts(dataDir: string, lines: Readonly<Record<string, string>>): void {
  writePrivateFile(restartsPath(dataDir), JSON.stringify({ format: 1, lines }));
}

/** What a program of the mesh that ended is started again by; undefined for what `x0 up` did not start. */
export function recallRestart(dataDir: string, name: string): string | undefined {
  const path = restartsPath(dataDir);
  if (!existsSync(path)) return undefined;
  const { format, lines = {} } = JSON.parse(readFileSync(path, 'utf8')) as Partial<RememberedLines>;
  return format === 1 && Object.hasOwn(lines, name) ? lines[name] : undefined;
}

interface RememberedLines {
  readonly format: 1;
  readonly lines: Readonly<Record<string, string>>;
}

function restartsPath(dataDir: string): string {
  return join(dataDir, 'restart.json');
}

/** The same words wherever a person reads them. */
export function restartAdvice(line: string): string {
  return `start it again in another terminal: ${line}`;
}
