import type { Duplex } from 'node:stream';
import { codeOf } from '#kernel/code-of.ts';

/** Who asks for a stream, as far as this node can tell: the local client's `ip:port`. */
export interface StreamSource {
  readonly address: string;
  /** `traceparent` of the client's request, as it came. */
  readonly trace?: string | undefined;
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

  /** The decision that denied it. */
  readonly decision: string | undefined;

  constructor(code: string, message: string, decision?: string) {
    super(message);
    this.code = code;
    this.decision = decision;
  }
}

/** The stable code that `error` carries, or `INTERNAL`. */
export function errorCode(error: unknown): string {
  return codeOf(error) ?? 'INTERNAL';
}

/** The decision that `error` came of, where a policy denied something. */
export function decisionOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('decision' in error)) return undefined;
  return typeof error.decision === 'string' ? error.decision : undefined;
}

/** What `error` says to a person. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
