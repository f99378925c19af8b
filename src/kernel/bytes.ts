import { assert } from '#kernel/assert.ts';

/** Compares two byte strings; not constant-time, so never for secrets. */
export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** One new array that holds all `parts` in order. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.byteLength;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.byteLength;
  }
  return joined;
}

/** `view`, or a copy where the view is less than half of the buffer that it would keep alive. */
export function worthKeeping(view: Uint8Array): Uint8Array {
  // Not slice(): on a Buffer that is a view.
  return view.byteLength * 2 < view.buffer.byteLength ? new Uint8Array(view) : view;
}

/** Latin letters, digits and signs only: one byte a character. Asserting, for constants of this program. */
export function asciiBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    assert(text.charCodeAt(i) < 0x80, 'only ASCII has one byte a character');
    bytes[i] = text.charCodeAt(i);
  }
  return bytes;
}
