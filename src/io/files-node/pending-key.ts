import { createPrivateKey, createPublicKey } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '#control/coded-error.ts';
import { readPrivateFile, writePrivateFile } from '#io/files-node/private-files.ts';
import type { KeyPair } from '#io/x509-asn1/keys.ts';

const FILE = 'pending.key';

/** Keeps the key of a node that waits to be let in, with the id of its token. */
export function savePendingKey(dataDir: string, tokenId: string, { privateKey }: KeyPair): void {
  writePrivateFile(join(dataDir, FILE), `${tokenId}\n${privateKey.export({ type: 'pkcs8', format: 'pem' })}`);
}

/** The key that waits with this token; undefined for another one. Throws DATA_DAMAGED. */
export function loadPendingKey(dataDir: string, tokenId: string): KeyPair | undefined {
  const path = join(dataDir, FILE);
  const [id, ...pem] = readPrivateFile(path)?.toString('utf8').split('\n') ?? [];
  if (id !== tokenId) return undefined;
  try {
    const privateKey = createPrivateKey(pem.join('\n'));
    return { privateKey, publicKey: createPublicKey(privateKey) };
  } catch (error) {
    throw new CodedError('DATA_DAMAGED', `${path} cannot be read; remove it, and join with another token`, {
      cause: error,
    });
  }
}

export function forgetPendingKey(dataDir: string): void {
  rmSync(join(dataDir, FILE), { force: true });
}
