import type { SeededRandom } from '#kernel/random.ts';
import type { Direction, DirectionUser } from './network.ts';
import type { Timeline } from './timeline.ts';

/** Where a pipe's bytes come out. */
interface PipeSink {
  /** Bytes that the receiving kernel holds for a program that has not read them. */
  readonly unreadBytes: number;
  handleBytes(bytes: Uint8Array): void;
  /** The other side has ended the transport. */
  handleEnd(): void;
  /** The sender may write again. */
  handleRoom(): void;
}

interface Segment {
  /** Undefined: the end of the transport. */
  readonly bytes: Uint8Array | undefined;
  readonly length: number;
  wiredMs: number;
  arrivesMs: number;
}

/** What a kernel takes from a writer before the other side acknowledged. */
export const SEND_BUFFER_BYTES = 262_144;
/** What a kernel takes for a reader that does not read: a frozen process. */
const RECEIVE_BUFFER_BYTES = 262_144;
/** Least time-out after which a lost segment is sent again (RFC 6298 §2.4 says a second, Linux 200 ms). */
const RETRANSMIT_MS = 200;
/** Back-off of a sender that hears nothing ends here (RFC 6298 §5.5). */
const LONGEST_BACK_OFF_MS = 60_000;

/**
 * One direction of a TCP connection: ordered, delayed, limited in rate; a lost segment delays all that follow; while the
 * direction is blocked nothing arrives, and afterwards the sender's back-off has to run out first.
 */
export class Pipe implements DirectionUser {
  readonly direction: Direction;
  readonly #reverse: Direction;
  readonly #timeline: Timeline;
  readonly #random: SeededRandom;
  readonly #sink: PipeSink;
  #queue: Segment[] = [];
  #wireFreeMs = 0;
  #lastArrivalMs = 0;
  #generation = 0;
  #stalledSinceMs: number | undefined;
  #isWaitingForReader = false;
  #bufferedBytes = 0;
  #unheardBytes = 0;
  #wantsRoom = false;

  constructor(timeline: Timeline, random: SeededRandom, ways: readonly [Direction, Direction], sink: PipeSink) {
    [this.direction, this.#reverse] = ways;
    this.#timeline = timeline;
    this.#random = random;
    this.#sink = sink;
    for (const way of ways) way.users.add(this);
  }

  /** Bytes that may be written now; when there are none the sink is told of room later. */
  get roomBytes(): number {
    const roomBytes = SEND_BUFFER_BYTES - this.#bufferedBytes;
    if (roomBytes > 0) return roomBytes;
    this.#wantsRoom = true;
    return 0;
  }

  /** Bytes on their way belong to the pipe. */
  send(bytes: Uint8Array): void {
    this.#bufferedBytes += bytes.byteLength;
    this.#push(bytes);
  }

  end(): void {
    this.#push(undefined);
  }

  /** A reset: some of what is under way is lost. */
  drop(): void {
    const kept = this.#random.word() % (this.#queue.length + 1);
    this.#queue.length = kept;
    this.#lastArrivalMs = this.#queue.at(-1)?.arrivesMs ?? this.#timeline.nowMs;
  }

  /** Nothing comes out any more. */
  close(): void {
    this.#generation++;
    this.#queue = [];
    this.direction.users.delete(this);
    this.#reverse.users.delete(this);
  }

  /** The reader has taken what it had. */
  handleRead(): void {
    if (!this.#isWaitingForReader || this.#sink.unreadBytes >= RECEIVE_BUFFER_BYTES) return;
    this.#isWaitingForReader = false;
    this.#arm();
  }

  handleConditions(): void {
    if (!this.#reverse.isBlocked && this.#unheardBytes > 0) {
      const heard = this.#unheardBytes;
      this.#unheardBytes = 0;
      this.#acknowledge(heard);
    }
    if (this.direction.isBlocked) return;
    this.#retime();
  }

  #push(bytes: Uint8Array | undefined): void {
    const segment: Segment = { bytes, length: bytes?.byteLength ?? 0, wiredMs: 0, arrivesMs: 0 };
    this.#time(segment);
    this.#queue.push(segment);
    if (this.#queue.length === 1) this.#arm();
  }

  #time(segment: Segment): void {
    const { direction } = this;
    const { nowMs } = this.#timeline;
    this.#wireFreeMs = Math.max(this.#wireFreeMs, nowMs) + segment.length / direction.bytesPerMs;
    segment.wiredMs = this.#wireFreeMs;
    const isLost = direction.lossShare > 0 && this.#random.fraction() < direction.lossShare;
    const againMs = isLost ? Math.max(RETRANSMIT_MS, 2 * direction.delayMs) : 0;
    const jitterMs = direction.jitterMs * this.#random.fraction();
    segment.arrivesMs = Math.max(this.#lastArrivalMs, segment.wiredMs + direction.delayMs + jitterMs + againMs);
    this.#lastArrivalMs = segment.arrivesMs;
  }

  /** The rate is another, or a blockade is over: what was not on the wire yet is timed anew. */
  #retime(): void {
    const { nowMs } = this.#timeline;
    const stalledMs = this.#stalledSinceMs === undefined ? 0 : nowMs - this.#stalledSinceMs;
    const isStalled = this.#stalledSinceMs !== undefined;
    this.#stalledSinceMs = undefined;
    const backOffMs = isStalled ? this.#random.fraction() * Math.min(stalledMs, LONGEST_BACK_OFF_MS) : 0;
    this.#wireFreeMs = nowMs + backOffMs;
    this.#lastArrivalMs = nowMs;
    for (const segment of this.#queue) {
      if (isStalled || segment.wiredMs > nowMs) this.#time(segment);
      else this.#lastArrivalMs = segment.arrivesMs;
    }
    this.#arm();
  }

  #arm(): void {
    const head = this.#queue[0];
    const generation = ++this.#generation;
    if (head === undefined || this.#stalledSinceMs !== undefined || this.#isWaitingForReader) return;
    this.#timeline.at(head.arrivesMs, () => {
      if (generation === this.#generation) this.#deliver();
    });
  }

  #deliver(): void {
    const { nowMs } = this.#timeline;
    let count = 0;
    for (const segment of this.#queue) {
      if (segment.arrivesMs > nowMs) break;
      if (this.direction.isBlocked) {
        this.#stalledSinceMs = nowMs;
        break;
      }
      if (this.#sink.unreadBytes >= RECEIVE_BUFFER_BYTES) {
        this.#isWaitingForReader = true;
        break;
      }
      count++;
    }
    const arrived = this.#queue.splice(0, count);
    this.#arm();
    for (const segment of arrived) this.#handOver(segment);
  }

  #handOver(segment: Segment): void {
    if (segment.bytes === undefined) {
      this.close();
      return this.#sink.handleEnd();
    }
    if (this.#reverse.isBlocked) this.#unheardBytes += segment.length;
    else this.#acknowledge(segment.length);
    this.#sink.handleBytes(segment.bytes);
  }

  #acknowledge(bytes: number): void {
    this.#bufferedBytes -= bytes;
    if (!this.#wantsRoom || this.#bufferedBytes >= SEND_BUFFER_BYTES) return;
    this.#wantsRoom = false;
    this.#timeline.after(this.#reverse.delayMs, () => this.#sink.handleRoom());
  }
}
