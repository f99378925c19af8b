/** One neighbour of a record takes at most 72 bytes, so 256 of them need 18 KiB; the rest is for fields to come. */
export const MAX_BODY_BYTES = 20 * 1024;
/** ML-DSA-87 needs 4,627 bytes. */
export const MAX_SIGNATURE_BYTES = 8 * 1024;
/** Format, origin, incarnation, sequence, certificate hash and two lengths, with the longest name. */
export const MAX_ENVELOPE_BYTES = 1 + 1 + 63 + 8 + 4 + 32 + 4 + 2;
export const MAX_RECORD_BYTES = MAX_ENVELOPE_BYTES + MAX_BODY_BYTES + MAX_SIGNATURE_BYTES;
/** One message of the linkstate stream: a record of full size and its header fit. */
export const MAX_MESSAGE_BYTES = 32 * 1024;
