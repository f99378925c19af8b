import { BitString, Constructed, Integer, Sequence } from 'asn1js';
import { sign } from 'node:crypto';
import { CONTEXT_CLASS, membersOf, parseWhole } from '#io/x509-asn1/asn1-tree.ts';
import type { KeyPair } from '#io/x509-asn1/keys.ts';

/**
 * A PKCS #10 request (RFC 2986) that proves possession of `keys`, which are ML-DSA. It asks for no name: the token or the
 * old SVID decides that.
 */
export function createCsr(keys: KeyPair): Uint8Array {
  if (keys.publicKey.asymmetricKeyType?.startsWith('ml-dsa-') !== true) throw new TypeError('requests are for ML-DSA');
  const publicKey = parseWhole(keys.publicKey.export({ type: 'spki', format: 'der' }));
  const attributes = new Constructed({ idBlock: { tagClass: CONTEXT_CLASS, tagNumber: 0 } });
  const information = new Sequence({ value: [new Integer({ value: 0 }), new Sequence(), publicKey, attributes] });
  const signature = new Uint8Array(sign(null, new Uint8Array(information.toBER()), keys.privateKey));
  // Keys and signatures of ML-DSA have the same identifier (RFC 9881 §2).
  const algorithm = membersOf(publicKey).slice(0, 1);
  const request = new Sequence({
    value: [information, ...algorithm, new BitString({ valueHex: signature.buffer })],
  });
  return new Uint8Array(request.toBER());
}
