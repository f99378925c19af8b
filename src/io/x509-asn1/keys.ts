import { createHash, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

export type MlDsaName = 'ml-dsa-65' | 'ml-dsa-87';

/** A key pair as node:crypto holds it; the private half never leaves the process that made it except to its 0600 file. */
export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** Makes a key pair with OpenSSL. */
export function generateKeyPair(name: MlDsaName): KeyPair {
  return name === 'ml-dsa-87' ? generateKeyPairSync('ml-dsa-87') : generateKeyPairSync('ml-dsa-65');
}

/** SHA-256 of the public key as certificates carry it, lower-case hex. */
export function keyHashOf(publicKey: KeyObject): string {
  return sha256Hex(publicKey.export({ type: 'spki', format: 'der' }));
}

/** Serial numbers are compared as lower-case hex without leading zeros. */
export function canonicalSerial(hex: string): string {
  return hex.toLowerCase().replace(/^0+(?=.)/, '');
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
