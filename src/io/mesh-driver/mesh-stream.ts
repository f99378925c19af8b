import { Duplex } from 'node:stream';
import { worthKeeping } from '#kernel/bytes.ts';
import { codeOf } from '#kernel/code-of.ts';
import { isCodeShaped } from '#kernel/plain-text.ts';
import type { Reason } from '#mesh/mux/frame.ts';
import type { MeshNode } from '#mesh/node/mesh-node.ts';
import type { LocalStream } from '#mesh/node/tunnel.ts';

/** What may wait for the reader beside the stream's window: one record, so that a stalled stream holds little that nobody charged. */
const READ_AHEAD_BYTES = 16_384;
/** What a writer may queue while its peer takes what is sent, and while it does not. */
const HIGH_WATER_BYTES = 524_288;
const STALLED_HIGH_WATER_BYTES = 65_536;

/** Why a stream ended before its time; `code` is in the error catalogue, `hop` the node that said so. */
export class MeshStreamError extends Error {
  override readonly name = 'MeshStreamError';
  readonly code: string;
  readonly hop: string | undefined;
  /** The decision that denied it; `x0 why` explains it. */
  readonly decision: string | undefined;

  constructor(reason: Reason) {
    super(textOf(reason));
    this.code = reason.code;
    this.hop = reason.hop;
    this.decision = reason.decision;
  }
}

function textOf({ code, hop, decision }: Reason): string {
  const where = hop === undefined ? code : `${code} at ${hop}`;
  return decision === undefined ? where : `${where}: the policy does not allow it; x0 why ${decision}`;
}

/** A local stream of the mesh as a half-open Node stream: consumed bytes become credit, `destroy(error)` resets. */
export class MeshStream extends Duplex {
  readonly local: LocalStream;
  readonly #node: MeshNode;
  readonly #schedule: () => void;
  #unconsumedBytes = 0;
  #isFlowing = true;
  #waiting: (() => void) | undefined;
  #isEnded = false;

  constructor(node: MeshNode, local: LocalStream, schedule: () => void) {
    super({
      allowHalfOpen: true,
      readableHighWaterMark: READ_AHEAD_BYTES,
      writableHighWaterMark: STALLED_HIGH_WATER_BYTES,
    });
    this.#node = node;
    this.local = local;
    this.#schedule = schedule;
  }

  /** Bytes from the mesh; the view may be of a much larger buffer. */
  handleData(bytes: Uint8Array): void {
    const kept = worthKeeping(bytes);
    if (!this.#isFlowing) {
      this.#unconsumedBytes += kept.byteLength;
      this.push(kept);
      return;
    }
    this.#isFlowing = this.push(kept);
    this.#node.streams.consume(this.local, kept.byteLength, performance.now());
  }

  handleEnd(): void {
    this.push(null);
  }

  handleReset(reason: Reason): void {
    this.#isEnded = true;
    this.destroy(new MeshStreamError(reason));
  }

  handleWritable(): void {
    const go = this.#waiting;
    this.#waiting = undefined;
    go?.();
  }

  override _read(): void {
    this.#isFlowing = true;
    if (this.#unconsumedBytes === 0) return;
    this.#node.streams.consume(this.local, this.#unconsumedBytes, performance.now());
    this.#unconsumedBytes = 0;
    this.#schedule();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#node.streams.send(this.local, chunk, performance.now());
    this.#schedule();
    this.#proceed(done);
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: (error?: Error | null) => void): void {
    const nowMs = performance.now();
    for (const { chunk } of chunks) this.#node.streams.send(this.local, chunk, nowMs);
    this.#schedule();
    this.#proceed(done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#node.streams.finish(this.local, performance.now());
    this.#schedule();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const isComplete = this.readableEnded && this.writableFinished;
    if (!this.#isEnded && !isComplete) {
      this.#node.streams.reset(this.local, {
        code: codeForPeer(error, 'STREAM_ABORTED'),
      });
      this.#schedule();
    }
    this.handleWritable();
    done(error);
  }

  #proceed(done: () => void): void {
    const limitBytes = Math.max(STALLED_HIGH_WATER_BYTES, Math.min(HIGH_WATER_BYTES, this.local.creditBytes));
    if (this.local.queuedBytes < limitBytes || this.local.state === 'closed') {
      done();
      return;
    }
    this.#waiting = done;
    this.#node.streams.awaitWritable(this.local, limitBytes / 2);
  }
}

/** The code of an error if it has one that may be told to others. */
export function codeForPeer(error: unknown, otherwise: string): string {
  const code = codeOf(error);
  return code !== undefined && isCodeShaped(code) ? code : otherwise;
}
