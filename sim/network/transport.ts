import type { SeededRandom } from '#kernel/random.ts';
import type { Network } from './network.ts';
import { Pipe } from './pipe.ts';
import type { Timeline } from './timeline.ts';

/** The program at one end of a transport. */
interface TransportUser {
  handleBytes(bytes: Uint8Array): void;
  /** The transport has ended; nothing follows. */
  handleClosed(): void;
  handleRoom(): void;
}

/** Chunks that are cut once more on their way: readers must not care where. */
const RECUT_SHARE = 0.15;

/** One end of a TCP-like connection between two machines. */
export class TransportEnd {
  readonly from: string;
  readonly to: string;
  user: TransportUser | undefined;
  other: TransportEnd | undefined;
  isClosed = false;
  /** Its machine lost power: it does not even say that it is gone. */
  isVanished = false;
  unreadBytes = 0;
  readonly #early: Uint8Array[] = [];
  readonly #random: SeededRandom;
  readonly #timeline: Timeline;
  /** To the other end. */
  out: Pipe | undefined;

  constructor(from: string, to: string, timeline: Timeline, random: SeededRandom) {
    this.from = from;
    this.to = to;
    this.#timeline = timeline;
    this.#random = random;
  }

  get roomBytes(): number {
    return this.isClosed ? 0 : (this.out?.roomBytes ?? 0);
  }

  /** The bytes belong to the transport from here on. */
  write(bytes: Uint8Array): void {
    if (this.isClosed) return;
    if (bytes.byteLength < 2 || this.#random.fraction() >= RECUT_SHARE) return this.out?.send(bytes);
    const at = 1 + (this.#random.word() % (bytes.byteLength - 1));
    this.out?.send(bytes.subarray(0, at));
    this.out?.send(bytes.slice(at));
  }

  /** The program has taken what `handleBytes` brought. */
  noteRead(bytes: number): void {
    this.unreadBytes -= bytes;
    this.other?.out?.handleRead();
  }

  /** Everything that was written arrives, then the end. */
  finish(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.out?.end();
  }

  /** Some of what was written is lost, then the end. */
  reset(): void {
    if (this.isClosed) return;
    this.out?.drop();
    this.finish();
  }

  /** The machine lost power: nothing is said. */
  vanish(): void {
    this.isVanished = true;
    this.isClosed = true;
    this.out?.close();
  }

  handleArrived(bytes: Uint8Array): void {
    if (this.isVanished) return;
    if (this.isClosed) return this.#refuse();
    this.unreadBytes += bytes.byteLength;
    if (this.user === undefined) this.#early.push(bytes);
    else this.user.handleBytes(bytes);
  }

  /** What arrived before there was a user. */
  takeEarly(): readonly Uint8Array[] {
    return this.#early.splice(0);
  }

  handleEnd(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.user?.handleClosed();
    this.out?.close();
  }

  /** Bytes came for a connection that is not there any more: the sender is told so, if it can be. */
  #refuse(): void {
    const { other, out } = this;
    if (other === undefined || out === undefined || out.direction.isBlocked) return;
    this.#timeline.after(out.direction.delayMs, () => other.handleEnd());
  }
}

/** A new connection between two machines; its users are to be set before anything is written. */
export function connectTransport(
  [a, b]: readonly [string, string],
  network: Network,
  timeline: Timeline,
  random: SeededRandom,
): readonly [TransportEnd, TransportEnd] {
  const ends = [new TransportEnd(a, b, timeline, random), new TransportEnd(b, a, timeline, random)] as const;
  for (const [end, other] of [ends, [ends[1], ends[0]] as const]) {
    end.other = other;
    const ways = [network.direction(end.from, end.to), network.direction(end.to, end.from)] as const;
    end.out = new Pipe(timeline, random, ways, {
      get unreadBytes() {
        return other.unreadBytes;
      },
      handleBytes: (bytes) => other.handleArrived(bytes),
      handleEnd: () => other.handleEnd(),
      handleRoom: () => (end.isClosed ? undefined : end.user?.handleRoom()),
    });
  }
  return ends;
}
