import { decode } from '@msgpack/msgpack';
import { isOneMessage } from '#kernel/msgpack-shape.ts';

/** Thrown inside a reader and caught at its entry: outside bytes were not of the expected shape. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
}

/** Snapshots nest five deep; what later versions add may nest deeper. */
const MAX_DEPTH = 16;

/** Caps for one decoding, so that a few hostile bytes cannot ask for much memory. */
export interface DecodeLimits {
  readonly textBytes: number;
  readonly binaryBytes: number;
  readonly items: number;
}

/** Reads an already decoded value with `read`; undefined when it has another shape. Bugs still throw. */
export function readShape<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  try {
    return read(value);
  } catch (error) {
    if (error instanceof ShapeError) return undefined;
    throw error;
  }
}

/** Decodes msgpack and reads it with `read`; undefined for anything malformed. Bugs still throw. */
export function readMessage<T>(bytes: Uint8Array, limits: DecodeLimits, read: (value: unknown) => T): T | undefined {
  if (!isOneMessage(bytes, MAX_DEPTH)) return undefined;
  try {
    const value = decode(bytes, {
      maxStrLength: limits.textBytes,
      maxBinLength: limits.binaryBytes,
      maxArrayLength: limits.items,
      maxMapLength: limits.items,
      maxExtLength: 0,
    });
    return read(value);
  } catch (error) {
    if (error instanceof ShapeError || isDecodeError(error)) return undefined;
    throw error;
  }
}

function isDecodeError(error: unknown): boolean {
  return (
    error instanceof RangeError ||
    error instanceof TypeError ||
    (error instanceof Error && error.name === 'DecodeError')
  );
}

export function readRecord(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    throw new ShapeError('a map was expected');
  }
  return value as Record<string, unknown>;
}

export function readArray<T>(value: unknown, limit: number, read: (item: unknown) => T): readonly T[] {
  if (!Array.isArray(value) || value.length > limit) throw new ShapeError('a bounded array was expected');
  return value.map((item) => read(item));
}

export function readText(value: unknown, limitChars: number): string {
  if (typeof value !== 'string' || value.length > limitChars) throw new ShapeError('a bounded text was expected');
  return value;
}

export function readBinary(value: unknown, limitBytes: number): Uint8Array {
  if (!(value instanceof Uint8Array) || value.byteLength > limitBytes) throw new ShapeError('bytes were expected');
  return value;
}

export function readBoolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new ShapeError('a boolean was expected');
  return value;
}

/** An integer from `least` to `most`, both within the safe range. */
export function readInteger(value: unknown, least: number, most: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > most) {
    throw new ShapeError('a bounded integer was expected');
  }
  return value;
}

/** Any finite number. */
export function readNumber(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new ShapeError('a number was expected');
  return value;
}

export function demand(condition: boolean, message: string): void {
  if (!condition) throw new ShapeError(message);
}
