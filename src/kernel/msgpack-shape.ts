/**
 * Whether `bytes` are exactly one msgpack value, nested at most `depth` deep, without building it. A decoder allocates an
 * array as long as its header claims: here a claim of a million elements in twenty bytes, or nesting without end, is
 * found before it costs anything.
 */
export function isOneMessage(bytes: Uint8Array, depth: number): boolean {
  return skipValue(bytes, 0, depth) === bytes.byteLength;
}

/** Where a value cannot be stepped over. */
const BROKEN = -1;

/** The offset after the value at `at`, or {@link BROKEN}. */
function skipValue(bytes: Uint8Array, at: number, depth: number): number {
  const type = bytes[at];
  if (type === undefined || depth === 0 || type === 0xc1) return BROKEN;
  if (type <= 0x7f || type >= 0xe0) return at + 1;
  if (type <= 0x8f) return skipItems(bytes, at + 1, (type & 0x0f) * 2, depth);
  if (type <= 0x9f) return skipItems(bytes, at + 1, type & 0x0f, depth);
  if (type <= 0xbf) return skipBytes(bytes, at + 1 + (type & 0x1f));
  return skipLong(bytes, at, type, depth);
}

function skipLong(bytes: Uint8Array, at: number, type: number, depth: number): number {
  if (type <= 0xc3) return at + 1;
  if (type <= 0xc6) return skipSized(bytes, at + 1, 1 << (type - 0xc4), 0);
  if (type <= 0xc9) return skipSized(bytes, at + 1, 1 << (type - 0xc7), 1);
  if (type <= 0xcb) return skipBytes(bytes, at + (type === 0xca ? 5 : 9));
  if (type <= 0xd3) return skipBytes(bytes, at + 1 + (1 << ((type - 0xcc) % 4)));
  if (type <= 0xd8) return skipBytes(bytes, at + 2 + (1 << (type - 0xd4)));
  if (type <= 0xdb) return skipSized(bytes, at + 1, 1 << (type - 0xd9), 0);
  const isMap = type >= 0xde;
  const width = type === 0xdc || type === 0xde ? 2 : 4;
  const count = readLength(bytes, at + 1, width);
  return count === BROKEN ? BROKEN : skipItems(bytes, at + 1 + width, isMap ? count * 2 : count, depth);
}

function skipSized(bytes: Uint8Array, at: number, width: number, more: number): number {
  const length = readLength(bytes, at, width);
  return length === BROKEN ? BROKEN : skipBytes(bytes, at + width + length + more);
}

/** Big-endian, of one, two or four bytes. */
function readLength(bytes: Uint8Array, at: number, width: number): number {
  if (at + width > bytes.byteLength) return BROKEN;
  let length = 0;
  for (let index = 0; index < width; index++) length = length * 256 + (bytes[at + index] ?? 0);
  return length;
}

function skipBytes(bytes: Uint8Array, end: number): number {
  return end <= bytes.byteLength ? end : BROKEN;
}

function skipItems(bytes: Uint8Array, at: number, count: number, depth: number): number {
  if (count > bytes.byteLength - at) return BROKEN;
  let end = at;
  for (let index = 0; index < count && end !== BROKEN; index++) end = skipValue(bytes, end, depth - 1);
  return end;
}
