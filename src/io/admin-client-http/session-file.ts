import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensurePrivateDirectory, readPrivateFile, writePrivateFile } from '#io/files-node/private-files.ts';

/** What `x0 login` remembers. */
export interface SavedSession {
  readonly token: string;
  /** `host:port` of the control plane, where it is not the one of the directory. */
  readonly api?: string;
}

const NAME = 'session.json';

/** Undefined where nobody logged in. Throws FILE_NOT_PRIVATE where others may read it. */
export function readSession(dataDir: string): SavedSession | undefined {
  const content = readPrivateFile(join(dataDir, NAME));
  if (content === undefined) return undefined;
  try {
    const { token, api } = JSON.parse(content.toString()) as Partial<Record<string, unknown>>;
    if (typeof token !== 'string') return undefined;
    return { token, ...(typeof api === 'string' && { api }) };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export function writeSession(dataDir: string, session: SavedSession): void {
  ensurePrivateDirectory(dataDir);
  writePrivateFile(join(dataDir, NAME), `${JSON.stringify(session)}\n`);
}

export function forgetSession(dataDir: string): void {
  rmSync(join(dataDir, NAME), { force: true });
}
