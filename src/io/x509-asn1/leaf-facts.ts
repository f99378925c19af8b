import { X509Certificate } from 'node:crypto';
import { fail, ok } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';
import type { LeafFacts } from '#trust/leaf.ts';
import {
  readAlternativeNames,
  readExtendedKeyUsages,
  readExtensions,
  readKeyUsages,
  saysCa,
} from '#io/x509-asn1/extensions.ts';
import { canonicalSerial, sha256Hex } from '#io/x509-asn1/keys.ts';

/** Full parsing takes about half a millisecond and peers come back, so the latest ones are remembered by hash. */
const REMEMBERED_LIMIT = 1024;
/** Larger than any certificate of this mesh; OpenSSL bounds the handshake message to 100 kB. */
const CERTIFICATE_LIMIT_BYTES = 64 * 1024;

const remembered = new Map<string, LeafFacts>();

/** Reads what a leaf says. Nothing is checked: see `checkPeerLeaf`. */
export function readLeafFacts(der: Uint8Array): Result<LeafFacts, 'CERT_UNREADABLE'> {
  if (der.byteLength > CERTIFICATE_LIMIT_BYTES) return fail('CERT_UNREADABLE');
  const hash = sha256Hex(der);
  const known = remembered.get(hash);
  if (known !== undefined) return ok(known);
  const facts = parseFacts(der, hash);
  if (facts === undefined) return fail('CERT_UNREADABLE');
  remember(hash, facts);
  return ok(facts);
}

function remember(hash: string, facts: LeafFacts): void {
  if (remembered.size >= REMEMBERED_LIMIT) {
    for (const oldest of remembered.keys()) {
      remembered.delete(oldest);
      break;
    }
  }
  remembered.set(hash, facts);
}

function parseFacts(der: Uint8Array, certificateHash: string): LeafFacts | undefined {
  try {
    const native = new X509Certificate(der);
    const extensions = readExtensions(der);
    return {
      ...readAlternativeNames(extensions),
      isCa: native.ca || saysCa(extensions),
      keyUsages: readKeyUsages(extensions),
      extendedKeyUsages: readExtendedKeyUsages(extensions),
      notBeforeMs: native.validFromDate.getTime(),
      notAfterMs: native.validToDate.getTime(),
      serial: canonicalSerial(native.serialNumber),
      publicKeyAlgorithm: String(native.publicKey.asymmetricKeyType),
      certificateHash,
    };
  } catch {
    return undefined;
  }
}
