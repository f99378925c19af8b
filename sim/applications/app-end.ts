import { concatBytes } from '#kernel/bytes.ts';
import { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import type { LocalStream } from '#mesh/node/tunnel.ts';
import type { NodeProcess } from '../host/node-process.ts';
import { contentOf, findWrong, HEADER_BYTES, type Side, streamOfHeader } from './content.ts';
import type { Pace, StreamPlan } from './stream-plan.ts';

/** As the real stream: what a writer may queue while its peer takes what is sent, and while it does not. */
const HIGH_WATER_BYTES = 524_288;
const STALLED_HIGH_WATER_BYTES = 65_536;
/** What a reader is done with costs a turn of its loop. */
const TURN_COST_MS = 0.005;
/** A window at first; it grows as half of it is read, so that it never outgrows this many times what was read. */
const FIRST_WINDOW_BYTES = 65_536;
const WINDOW_GROWTH = 4;

/** What an end tells those who watch it. */
export interface AppEndWatcher {
  /** The client's first bytes have said which stream this is. */
  handleIdentified(end: AppEnd, stream: number): void;
  handleProgress(end: AppEnd, bytes: number): void;
  /** Both directions of this end are over. */
  handleDone(end: AppEnd): void;
  report(end: AppEnd, code: string, detail: string): void;
}

/** One end of one application stream: writes what its position says, checks what it reads. */
export class AppEnd {
  readonly process: NodeProcess;
  readonly local: LocalStream;
  readonly writes: Side;
  readonly #watcher: AppEndWatcher;
  /** Known from the start by a client, from the first bytes by a server. */
  stream: number | undefined;
  #plan: StreamPlan | undefined;
  #header: Uint8Array = new Uint8Array();
  sentBytes = 0;
  receivedBytes = 0;
  consumedBytes = 0;
  hasFinished = false;
  hasEnded = false;
  isClosed = false;
  #isReading = false;
  #isPumping = false;

  constructor(process: NodeProcess, local: LocalStream, writes: Side, watcher: AppEndWatcher) {
    this.process = process;
    this.local = local;
    this.writes = writes;
    this.#watcher = watcher;
  }

  /** Writing may begin. */
  begin(stream: number, plan: StreamPlan): void {
    this.stream = stream;
    this.#plan = plan;
    this.pump();
    if (plan.reading.kind === 'late') this.#scheduleRead(plan.reading.afterMs);
  }

  handleData(bytes: Uint8Array): void {
    const offset = this.receivedBytes;
    this.receivedBytes += bytes.byteLength;
    if (this.hasEnded) this.#watcher.report(this, 'DATA_AFTER_END', `${bytes.byteLength} bytes at ${offset}`);
    if (this.stream === undefined) this.#readHeader(bytes, offset);
    else this.#check(offset, bytes);
    this.#checkWindow();
    this.#watcher.handleProgress(this, bytes.byteLength);
    const reading = this.#plan?.reading;
    if (reading === undefined || reading.kind === 'eager') this.#consume(bytes.byteLength);
    else if (reading.kind === 'slow') this.#scheduleRead(reading.everyMs);
  }

  handleEnd(): void {
    this.hasEnded = true;
    const expected = this.#expectedBytes();
    if (expected === undefined || this.receivedBytes !== expected)
      this.#watcher.report(this, 'STREAM_SHORT', `ended after ${this.receivedBytes} of ${expected ?? 'unknown'} bytes`);
    this.#maybeDone();
  }

  /** Writes as much as the pace and the stream allow. */
  pump(): void {
    const plan = this.#plan;
    if (plan === undefined || this.stream === undefined || this.isClosed || this.hasFinished) return;
    const total = this.writes === 'up' ? plan.upBytes : plan.downBytes;
    while (this.sentBytes < total) {
      if (!this.#mayWrite()) return;
      const length = Math.min(this.#nextChunk(plan.pace), total - this.sentBytes);
      this.process.node.streams.send(
        this.local,
        contentOf(this.stream, this.writes, this.sentBytes, length),
        this.process.nowMs,
      );
      this.sentBytes += length;
      if (this.#shallAbort(plan)) return this.#abort();
      if (plan.pace.everyMs > 0 && this.sentBytes < total) return this.#schedulePump(plan.pace.everyMs);
    }
    this.hasFinished = true;
    this.process.node.streams.finish(this.local, this.process.nowMs);
    this.#maybeDone();
  }

  get isAborted(): boolean {
    return this.isClosed && !this.hasFinished && this.#plan?.abortAtBytes !== undefined && this.writes === 'up';
  }

  /** What is still to arrive, or undefined while nobody knows. */
  #expectedBytes(): number | undefined {
    return this.writes === 'up' ? this.#plan?.downBytes : this.#plan?.upBytes;
  }

  #nextChunk(pace: Pace): number {
    return this.sentBytes === 0 && this.writes === 'up' ? Math.max(HEADER_BYTES, pace.chunkBytes) : pace.chunkBytes;
  }

  #mayWrite(): boolean {
    const { local } = this;
    const limitBytes = Math.max(STALLED_HIGH_WATER_BYTES, Math.min(HIGH_WATER_BYTES, local.creditBytes));
    if (local.queuedBytes < limitBytes) return true;
    this.process.node.streams.awaitWritable(local, limitBytes / 2);
    return false;
  }

  #shallAbort(plan: StreamPlan): boolean {
    return this.writes === 'up' && plan.abortAtBytes !== undefined && this.sentBytes >= plan.abortAtBytes;
  }

  #abort(): void {
    this.isClosed = true;
    this.process.node.streams.reset(this.local, { code: 'STREAM_ABORTED' });
    this.#watcher.handleDone(this);
  }

  #schedulePump(afterMs: number): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.process.machine.world.timeline.after(afterMs, () =>
      this.process.enqueue(TURN_COST_MS, () => {
        this.#isPumping = false;
        this.pump();
      }),
    );
  }

  #readHeader(bytes: Uint8Array, offset: number): void {
    this.#header = concatBytes([this.#header, bytes]);
    if (this.#header.byteLength < HEADER_BYTES) return;
    this.#watcher.handleIdentified(this, streamOfHeader(this.#header));
    this.#check(0, this.#header);
    this.#header = new Uint8Array();
    if (this.stream === undefined) this.#watcher.report(this, 'BYTES_WRONG', `no such stream, ${offset} bytes read`);
  }

  #check(offset: number, bytes: Uint8Array): void {
    if (this.stream === undefined) return;
    const wrongAt = findWrong(this.stream, this.writes === 'up' ? 'down' : 'up', offset, bytes);
    if (wrongAt !== undefined) this.#watcher.report(this, 'BYTES_WRONG', `at position ${wrongAt}`);
    const expected = this.#expectedBytes() ?? Number.POSITIVE_INFINITY;
    if (offset + bytes.byteLength > expected) this.#watcher.report(this, 'BYTES_REPEATED', `more than ${expected}`);
  }

  /** A peer that sends without credit would fill the memory of a reader that does not read. */
  #checkWindow(): void {
    const heldBytes = this.receivedBytes - this.consumedBytes;
    const windowBytes = this.local.stream?.window.sizeBytes ?? Number.POSITIVE_INFINITY;
    // After a move, what an earlier window let through may still be unread.
    const earlierBytes = FIRST_WINDOW_BYTES + WINDOW_GROWTH * this.consumedBytes;
    const limitBytes = moveCount(this.local) === 0 ? windowBytes : windowBytes + earlierBytes;
    if (heldBytes > limitBytes) this.#watcher.report(this, 'WINDOW_EXCEEDED', `${heldBytes} unread bytes`);
  }

  #scheduleRead(afterMs: number): void {
    if (this.#isReading) return;
    this.#isReading = true;
    this.process.machine.world.timeline.after(afterMs, () => this.process.enqueue(TURN_COST_MS, () => this.#read()));
  }

  #read(): void {
    this.#isReading = false;
    const reading = this.#plan?.reading;
    if (this.isClosed || reading === undefined) return;
    const heldBytes = this.receivedBytes - this.consumedBytes;
    this.#consume(Math.min(heldBytes, reading.chunkBytes));
    const isOver = this.hasEnded && this.receivedBytes === this.consumedBytes;
    if (!isOver && (reading.kind === 'late' || this.receivedBytes > this.consumedBytes))
      this.#scheduleRead(reading.everyMs);
  }

  #consume(bytes: number): void {
    if (bytes === 0) return;
    this.consumedBytes += bytes;
    this.process.node.streams.consume(this.local, bytes, this.process.nowMs);
    this.#maybeDone();
  }

  #maybeDone(): void {
    if (this.isClosed || !this.hasFinished || !this.hasEnded) return;
    this.isClosed = true;
    this.#watcher.handleDone(this);
  }
}

/** How often a stream changed its tunnel. */
export function moveCount(local: LocalStream): number {
  return local instanceof ConduitHandle ? local.moveCount : 0;
}
