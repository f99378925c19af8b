import 'reflect-metadata';
import { Pkcs10CertificateRequest } from '@peculiar/x509';
import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { fail, ok } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';

/** An ML-DSA-65 request is about 5.4 kB. */
const REQUEST_LIMIT_BYTES = 16 * 1024;

export type CsrRefusal = 'CSR_UNREADABLE' | 'CSR_WRONG_KEY' | 'CSR_NO_PROOF';

/** The public key of a request whose own signature proves that the sender has the private one. Only ML-DSA-65. */
export async function readCsr(der: Uint8Array): Promise<Result<KeyObject, CsrRefusal>> {
  if (der.byteLength > REQUEST_LIMIT_BYTES) return fail('CSR_UNREADABLE');
  const parsed = parseCsr(der);
  if (parsed === undefined) return fail('CSR_UNREADABLE');
  if (parsed.publicKey.asymmetricKeyType !== 'ml-dsa-65') return fail('CSR_WRONG_KEY');
  return (await hasProof(parsed.request)) ? ok(parsed.publicKey) : fail('CSR_NO_PROOF');
}

function parseCsr(der: Uint8Array): { request: Pkcs10CertificateRequest; publicKey: KeyObject } | undefined {
  try {
    const request = new Pkcs10CertificateRequest(new Uint8Array(der));
    const spki = Buffer.from(request.publicKey.rawData);
    return { request, publicKey: createPublicKey({ key: spki, format: 'der', type: 'spki' }) };
  } catch {
    return undefined;
  }
}

async function hasProof(request: Pkcs10CertificateRequest): Promise<boolean> {
  try {
    return await request.verify();
  } catch {
    return false;
  }
}
