import { SeededRandom } from '#kernel/random.ts';

/** Long enough that no stream of a run comes round, so that a repetition can never look right. */
const TABLE_BYTES = 1 << 22;
/** The first bytes of what a client sends say which stream it is. */
export const HEADER_BYTES = 4;
/** What is written or read at once is at most this. */
const LONGEST_PIECE_BYTES = 1 << 20;
let table: Uint8Array | undefined;

/** Which of the two directions of a stream. */
export type Side = 'up' | 'down';

/** The bytes `[offset, offset + length)` of one direction of a stream: each is a function of stream, side and position. */
export function contentOf(stream: number, side: Side, offset: number, length: number): Uint8Array {
  const bytes = sourceOf(stream, side, offset, length).slice();
  const headerEnd = side === 'up' ? Math.min(HEADER_BYTES, offset + length) : 0;
  for (let at = offset; at < headerEnd; at++) bytes[at - offset] = headerByte(stream, at);
  return bytes;
}

/** The first position at which `bytes` differs from what belongs at `offset`, or undefined when all is right. */
export function findWrong(stream: number, side: Side, offset: number, bytes: Uint8Array): number | undefined {
  const isPlain = side === 'down' || offset >= HEADER_BYTES;
  if (isPlain && Buffer.compare(bytes, sourceOf(stream, side, offset, bytes.byteLength)) === 0) return undefined;
  const right = contentOf(stream, side, offset, bytes.byteLength);
  const index = bytes.findIndex((byte, i) => byte !== right[i]);
  return index < 0 ? undefined : offset + index;
}

export function streamOfHeader(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES).getUint32(0);
}

function headerByte(stream: number, index: number): number {
  return (stream >>> (8 * (HEADER_BYTES - 1 - index))) & 0xff;
}

function sourceOf(stream: number, side: Side, offset: number, length: number): Uint8Array {
  const start = (Math.imul(stream * 2 + (side === 'up' ? 0 : 1), 0x9e3779b1) >>> 0) + offset;
  const at = start % TABLE_BYTES;
  return theTable().subarray(at, at + length);
}

function theTable(): Uint8Array {
  if (table !== undefined) return table;
  const random = new SeededRandom(0xc0ffee);
  const made = new Uint8Array(TABLE_BYTES + LONGEST_PIECE_BYTES);
  const words = new Uint32Array(made.buffer);
  for (let i = 0; i < words.length; i++) words[i] = random.word();
  made.copyWithin(TABLE_BYTES, 0, LONGEST_PIECE_BYTES);
  table = made;
  return made;
}
