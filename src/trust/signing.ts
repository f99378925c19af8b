import { asciiBytes, concatBytes } from '#kernel/bytes.ts';

/** The kinds of body that anything in this mesh signs, and that of audit entries, which are hashed. */
export type SignedType = 'snapshot' | 'record' | 'audit' | 'audit-checkpoint';

/** The bytes a signature covers: ascii(`x0/<type>/v1\0`) ‖ body, so that no signature can serve for another type. */
export function signedMessage(type: SignedType, body: Uint8Array): Uint8Array {
  return concatBytes([asciiBytes(`x0/${type}/v1\0`), body]);
}
