import '#io/x509-peculiar/keys.ts';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate as ParsedCertificate,
} from '@peculiar/x509';
import { X509Certificate } from 'node:crypto';
import { fail, ok } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';
import type { LeafFacts } from '#trust/leaf.ts';
import { canonicalSerial, sha256Hex } from '#io/x509-peculiar/keys.ts';

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
    const parsed = new ParsedCertificate(new Uint8Array(der));
    const names = parsed.getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
    return {
      uris: names.filter((name) => name.type === 'url').map((name) => name.value),
      otherNames: names.filter((name) => name.type !== 'url').map((name) => `${name.type}:${name.value}`),
      isCa: native.ca || parsed.getExtension(BasicConstraintsExtension)?.ca === true,
      keyUsages: usageNames(parsed.getExtension(KeyUsagesExtension)?.usages ?? 0),
      extendedKeyUsages: (parsed.getExtension(ExtendedKeyUsageExtension)?.usages ?? []).map(String),
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

const USAGES: readonly (readonly [number, string])[] = [
  [KeyUsageFlags.digitalSignature, 'digitalSignature'],
  [KeyUsageFlags.nonRepudiation, 'nonRepudiation'],
  [KeyUsageFlags.keyEncipherment, 'keyEncipherment'],
  [KeyUsageFlags.dataEncipherment, 'dataEncipherment'],
  [KeyUsageFlags.keyAgreement, 'keyAgreement'],
  [KeyUsageFlags.keyCertSign, 'keyCertSign'],
  [KeyUsageFlags.cRLSign, 'cRLSign'],
  [KeyUsageFlags.encipherOnly, 'encipherOnly'],
  [KeyUsageFlags.decipherOnly, 'decipherOnly'],
];

function usageNames(flags: number): string[] {
  return USAGES.filter(([flag]) => (flags & flag) !== 0).map(([, name]) => name);
}
