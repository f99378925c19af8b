import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import type { KeyObject, webcrypto } from 'node:crypto';

/** A random positive 128-bit serial as lower-case hex, no leading zero octet (RFC 5280 §4.1.2.2). */
export function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

/** How the certificate library asks node:crypto for this key's signatures and encodings. */
export function signatureAlgorithm(key: KeyObject): webcrypto.Algorithm | webcrypto.EcdsaParams {
  switch (key.asymmetricKeyType) {
    case 'ml-dsa-44':
      return { name: 'ML-DSA-44' };
    case 'ml-dsa-65':
      return { name: 'ML-DSA-65' };
    case 'ml-dsa-87':
      return { name: 'ML-DSA-87' };
    case 'ec':
      return { name: 'ECDSA', hash: 'SHA-256' };
    default:
      throw new TypeError(`no signature algorithm for ${String(key.asymmetricKeyType)}`);
  }
}

/** Test certificates may have P-256 keys; everything the product makes is ML-DSA. */
function importAlgorithm(key: KeyObject): webcrypto.Algorithm | webcrypto.EcKeyImportParams {
  return key.asymmetricKeyType === 'ec' ? { name: 'ECDSA', namedCurve: 'P-256' } : signatureAlgorithm(key);
}

export function toVerifyKey(key: KeyObject): CryptoKey {
  return key.toCryptoKey(importAlgorithm(key), true, ['verify']);
}

export function toSignKey(key: KeyObject): CryptoKey {
  return key.toCryptoKey(importAlgorithm(key), false, ['sign']);
}
