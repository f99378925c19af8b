import type { MuxStream } from '#mesh/mux/stream.ts';

/** How far interactive streams may run ahead of waiting bulk before bulk gets a turn: two frames. */
const INTERACTIVE_LEAD_BYTES = 131_072;

/** Idle groups are forgotten beyond this many; a node has about as many neighbours. */
const MAX_REMEMBERED_GROUPS = 64;

interface Group<Owner> {
  /** Virtual time at which its next frame begins: bytes served, caught up with the others after being idle. */
  startBytes: number;
  readonly streams: MuxStream<Owner>[];
}

/**
 * Start-time fair queueing (Goyal, Vin and Cheng, 1996) among groups, turns within one: a group with a thousand streams
 * gets as many bytes as a group with one, also when that one waits for credit between its frames.
 */
class FairGroups<Owner> {
  readonly #groups = new Map<string, Group<Owner>>();
  #served: Group<Owner> | undefined;
  #nowBytes = 0;
  #waiting = 0;

  get isEmpty(): boolean {
    return this.#waiting === 0;
  }

  push(stream: MuxStream<Owner>): void {
    const group = this.#group(stream.group);
    if (group.streams.length === 0) group.startBytes = Math.max(group.startBytes, this.#nowBytes);
    group.streams.push(stream);
    this.#waiting++;
  }

  shift(): MuxStream<Owner> | undefined {
    let first: Group<Owner> | undefined;
    for (const group of this.#groups.values()) {
      if (group.streams.length === 0) continue;
      if (first === undefined || group.startBytes < first.startBytes) first = group;
    }
    this.#served = first;
    if (first === undefined) return undefined;
    this.#nowBytes = first.startBytes;
    this.#waiting--;
    return first.streams.shift();
  }

  /** The stream that was shifted last sent this much. */
  charge(bytes: number): void {
    if (this.#served !== undefined) this.#served.startBytes += bytes;
  }

  #group(name: string): Group<Owner> {
    const known = this.#groups.get(name);
    if (known !== undefined) return known;
    if (this.#groups.size >= MAX_REMEMBERED_GROUPS) this.#forgetIdle();
    const group: Group<Owner> = { startBytes: this.#nowBytes, streams: [] };
    this.#groups.set(name, group);
    return group;
  }

  #forgetIdle(): void {
    for (const [name, group] of this.#groups) if (group.streams.length === 0) this.#groups.delete(name);
  }
}

/**
 * Decides whose turn it is. Streams that lately sent little go first, but with at most half the link while bulk waits;
 * bulk is served one frame at a time, fairly among groups and in turn within one.
 */
export class Scheduler<Owner> {
  readonly #interactive = new FairGroups<Owner>();
  readonly #bulk = new FairGroups<Owner>();
  #leadBytes = 0;
  #servingBulk = false;

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
      this.#servingBulk = false;
      return this.#interactive.shift();
    }
    if (this.#interactive.isEmpty || this.#leadBytes > INTERACTIVE_LEAD_BYTES) {
      this.#servingBulk = true;
      return this.#bulk.shift();
    }
    this.#servingBulk = false;
    return this.#interactive.shift();
  }

  noteServed(bytes: number): void {
    (this.#servingBulk ? this.#bulk : this.#interactive).charge(bytes);
    this.#leadBytes = this.#servingBulk ? Math.max(0, this.#leadBytes - bytes) : this.#leadBytes + bytes;
  }
}
