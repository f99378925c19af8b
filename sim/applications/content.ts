import { SeededRandom } from '#kernel/random.ts';

/** Long enough that no stream of a run comes round, so that a repetition can never look right. */
const TABLE_BYTES = 1 << 22;
/** The first bytes of what a client sends say which stream it is. */
export const HEADER_BYTES = 4;
let table: Uint8Array | undefined;

/** Which of the two directions of a stream. */
export type Side = 'up' | 'down';

/** The bytes `[offset, offset + length)` of one direction of a stream: each is a function of stream, side and position. */
export function contentOf(stream: number, side: Side, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const source = theTable();
  const start = startOf(stream, side) + offset;
  for (let i = 0; i < length; i++) bytes[i] = source[(start + i) % TABLE_BYTES] ?? 0;
  if (side === 'up')
    for (let i = offset; i < HEADER_BYTES && i < offset + length; i++) bytes[i - offset] = headerByte(stream, i);
  return bytes;
}

/** The first position at which `bytes` differs from what belongs at `offset`, or undefined when all is right. */
export function findWrong(stream: number, side: Side, offset: number, bytes: Uint8Array): number | undefined {
  const source = theTable();
  const start = startOf(stream, side) + offset;
  for (let i = 0; i < bytes.byteLength; i++) {
    const at = offset + i;
    const right = side === 'up' && at < HEADER_BYTES ? headerByte(stream, at) : source[(start + i) % TABLE_BYTES];
    if (bytes[i] !== right) return at;
  }
  return undefined;
}

export function streamOfHeader(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES).getUint32(0);
}

function headerByte(stream: number, index: number): number {
  return (stream >>> (8 * (HEADER_BYTES - 1 - index))) & 0xff;
}

function startOf(stream: number, side: Side): number {
  return (Math.imul(stream * 2 + (side === 'up' ? 0 : 1), 0x9e3779b1) >>> 0) % TABLE_BYTES;
}

function theTable(): Uint8Array {
  if (table !== undefined) return table;
  const random = new SeededRandom(0xc0ffee);
  const made = new Uint8Array(TABLE_BYTES);
  const words = new Uint32Array(made.buffer);
  for (let i = 0; i < words.length; i++) words[i] = random.word();
  table = made;
  return made;
}
