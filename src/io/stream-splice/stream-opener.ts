import type { Duplex } from 'node:stream';
import { codeOf } from '#kernel/code-of.ts';

/** Who asks for a stream, as far as this node can tell: the local client's `ip:port`. */
export interface StreamSource {
  readonly address: string;
}

/**
 * A stream to an instance of a service. It is half-open capable (`allowHalfOpen`), back-pressured, and `destroy(error)` resets it
 * at the other end.
 */
export type OpenedStream = Duplex;

/** What an edge needs of the mesh. `open` rejects with an `Error` whose `code` is in the error catalogue. */
export interface StreamOpener {
  open(service: string, source: StreamSource): Promise<OpenedStream>;
}

/** A stream that could not be opened or did not end well. `code` is in the error catalogue. */
export class StreamError extends Error {
  override readonly name = 'StreamError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The stable code that `error` carries, or `INTERNAL`. */
export function errorCode(error: unknown): string {
  return codeOf(error) ?? 'INTERNAL';
}

/** What `error` says to a person. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
