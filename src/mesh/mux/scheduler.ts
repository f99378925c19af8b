import type { MuxStream } from '#mesh/mux/stream.ts';

/** How far interactive streams may run ahead of waiting bulk before bulk gets a turn: two frames. */
const INTERACTIVE_LEAD_BYTES = 131_072;

/** Streams in turn, one turn a group: a group with a thousand streams gets no more turns than a group with one. */
class FairRing<Owner> {
  readonly #groups = new Map<string, MuxStream<Owner>[]>();
  #order: string[] = [];

  get isEmpty(): boolean {
    return this.#order.length === 0;
  }

  push(stream: MuxStream<Owner>): void {
    const group = this.#groups.get(stream.group);
    if (group !== undefined) {
      group.push(stream);
      return;
    }
    this.#groups.set(stream.group, [stream]);
    this.#order.push(stream.group);
  }

  shift(): MuxStream<Owner> | undefined {
    const name = this.#order.shift();
    if (name === undefined) return undefined;
    const group = this.#groups.get(name);
    const stream = group?.shift();
    if (group !== undefined && group.length > 0) this.#order.push(name);
    else this.#groups.delete(name);
    return stream;
  }
}

/**
 * Decides whose turn it is. Streams that lately sent little go first, but with at most half the link while bulk waits;
 * bulk is served in turn, one frame each, fairly among groups.
 */
export class Scheduler<Owner> {
  readonly #interactive = new FairRing<Owner>();
  readonly #bulk = new FairRing<Owner>();
  #leadBytes = 0;

  /** Queues a stream that is ready and not queued yet. */
  push(stream: MuxStream<Owner>, nowMs: number): void {
    if (stream.isScheduled || !stream.isReady) return;
    stream.isScheduled = true;
    (stream.isInteractive(nowMs) ? this.#interactive : this.#bulk).push(stream);
  }

  /** The next stream to serve one frame of, or undefined. The caller reports what it sent by `noteServed`. */
  shift(): MuxStream<Owner> | undefined {
    for (;;) {
      const stream = this.#pick();
      if (stream === undefined) return undefined;
      stream.isScheduled = false;
      if (stream.isReady) return stream;
    }
  }

  #pick(): MuxStream<Owner> | undefined {
    if (this.#bulk.isEmpty) {
      this.#leadBytes = 0;
      return this.#interactive.shift();
    }
    if (this.#interactive.isEmpty || this.#leadBytes > INTERACTIVE_LEAD_BYTES) {
      this.#servingBulk = true;
      return this.#bulk.shift();
    }
    this.#servingBulk = false;
    return this.#interactive.shift();
  }

  #servingBulk = false;

  noteServed(bytes: number): void {
    this.#leadBytes = this.#servingBulk ? Math.max(0, this.#leadBytes - bytes) : this.#leadBytes + bytes;
  }
}
