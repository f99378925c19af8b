import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { StreamError } from './stream-opener.ts';

/** How a spliced pair ended. `error` is what broke it; a pair without one delivered every byte of both directions. */
export interface SpliceResult {
  readonly leftToRightBytes: number;
  readonly rightToLeftBytes: number;
  readonly error: Error | undefined;
}

interface Direction {
  bytes: number;
}

/**
 * Carries bytes both ways between two half-open streams until both are closed: chunks are handed on uncopied, a full writer
 * pauses its reader, an end ends the other side's writing only, and anything else resets both. Never rejects.
 */
export function splice(left: Duplex, right: Duplex): Promise<SpliceResult> {
  return new Promise((resolve) => {
    const toRight: Direction = { bytes: 0 };
    const toLeft: Direction = { bytes: 0 };
    let open = 2;
    let failure: Error | undefined;
    const abort = (error: Error): void => {
      failure ??= error;
      reset(left, error);
      reset(right, error);
    };
    const settle = (stream: Duplex): void => {
      if (!stream.readableEnded || !stream.writableFinished) abort(closedEarly(stream));
      if (--open > 0) return;
      resolve({ leftToRightBytes: toRight.bytes, rightToLeftBytes: toLeft.bytes, error: failure });
    };
    for (const stream of [left, right]) {
      stream.on('error', abort);
      if (stream.closed) settle(stream);
      else stream.once('close', () => settle(stream));
    }
    if (failure !== undefined) return;
    pump(left, right, toRight);
    pump(right, left, toLeft);
  });
}

function pump(from: Duplex, to: Duplex, direction: Direction): void {
  let isCorked = false;
  const uncork = (): void => {
    isCorked = false;
    to.uncork();
  };
  from.on('data', (chunk: Uint8Array) => {
    direction.bytes += chunk.byteLength;
    // What arrives in one turn leaves in one write.
    if (!isCorked) {
      isCorked = true;
      to.cork();
      process.nextTick(uncork);
    }
    if (!to.write(chunk)) from.pause();
  });
  to.on('drain', () => from.resume());
  if (from.readableEnded) to.end();
  else from.once('end', () => to.end());
  from.resume();
}

function closedEarly(stream: Duplex): Error {
  return stream.errored ?? new StreamError('STREAM_RESET', 'the stream was closed before its end');
}

/** Ends `stream` so that its peer sees a failure and not an end: RST on a TCP socket, a reset on a mesh stream. */
export function reset(stream: Duplex, error: Error): void {
  if (stream.destroyed) return;
  if (stream instanceof Socket) stream.resetAndDestroy();
  else stream.destroy(error);
}
