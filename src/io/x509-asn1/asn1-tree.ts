import { Constructed, fromBER, Sequence } from 'asn1js';
import type { BaseBlock } from 'asn1js';

/** A certificate with every extension of the mesh has about 60 values, 9 deep; strings are not looked into. */
const LIMITS = { maxDepth: 32, maxNodes: 2048, parseEmbedded: false };

/** The class of tags whose meaning the surrounding structure gives (X.690 §8.1.2.2). */
export const CONTEXT_CLASS = 3;

/** The one ASN.1 value that `der` is. Throws on junk and on bytes behind it. */
export function parseWhole(der: Uint8Array): BaseBlock {
  const { offset, result } = fromBER(new Uint8Array(der), LIMITS);
  if (offset !== der.byteLength) throw new SyntaxError('not one ASN.1 value');
  return result;
}

/** The members of a SEQUENCE. Throws when `block` is something else. */
export function membersOf(block: BaseBlock | undefined): readonly BaseBlock[] {
  if (block instanceof Sequence) return contentsOf(block);
  throw new SyntaxError('not a SEQUENCE');
}

/** What a constructed value holds. Throws when it is primitive or its length is not definite, which DER forbids. */
export function contentsOf(block: BaseBlock): readonly BaseBlock[] {
  if (!(block instanceof Constructed) || block.lenBlock.isIndefiniteForm) throw new SyntaxError('not constructed');
  return block.valueBlock.value;
}
