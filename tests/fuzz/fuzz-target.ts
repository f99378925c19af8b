/** One parser of outside bytes. */
export interface FuzzTarget {
  readonly name: string;
  /** Messages that the parser accepts; every one is run as it is, then mutated. */
  corpus(): readonly Uint8Array[] | Promise<readonly Uint8Array[]>;
  /** Throws when an invariant breaks. Returns whether the parser accepted the input. */
  run(input: Uint8Array): boolean | Promise<boolean>;
  close?(): Promise<void>;
}

/** A broken invariant: found by a target, not thrown by what it tests. */
class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

export function check(condition: boolean, message: string): void {
  if (!condition) throw new InvariantError(message);
}

/** Deep equality of decoded values by their JSON, bytes included. */
export function checkSame(a: unknown, b: unknown, message: string): void {
  check(describe(a) === describe(b), `${message}: ${describe(a)} is not ${describe(b)}`);
}

function describe(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (part instanceof Uint8Array) return part.toHex();
    return part instanceof Map ? [...part] : part;
  });
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Bytes as text, wrong UTF-8 replaced. */
export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
