import { TokenBucket } from '#kernel/bounded.ts';
import type { Conduit } from '#mesh/conduit/conduit.ts';
import { LocalStream } from '#mesh/node/tunnel.ts';
import type { PeerIdentity } from '#trust/identity.ts';

/** One time that a conduit went over to another way. */
export interface Move {
  /** When it went on, Unix milliseconds. */
  readonly wallMs: number;
  readonly from: readonly string[];
  readonly to: readonly string[];
  /** Why: a code. */
  readonly reason: string;
  /** How long nothing connected the two ends. */
  readonly gapMs: number;
}

/** The latest moves of a conduit that are remembered. */
const MAX_MOVES = 16;

/** Ways that are lost one after the other are left at once so often, and then at this rate. */
const MOVES_AT_ONCE = 4;
const MOVES_PER_SECOND = 1;
const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 1_000;
/** What was carried for so long has a way. */
const STEADY_MS = 1_000;

/** A stream of a service: a conduit, which goes on over another tunnel when its own is lost. */
export class ConduitHandle extends LocalStream {
  conduit: Conduit;
  /** Bytes may flow on `stream`. */
  isAttached = false;
  /** Waits for a tunnel to attach to. */
  isAttaching = false;
  /** When OPEN went last. */
  openedMs = 0;
  detachedMs = 0;
  retryMs = 0;
  retries = 0;
  wakeBelowBytes = 0;
  peerIdentity: PeerIdentity | undefined;
  /** W3C `traceparent` of what it is for. */
  trace: string | undefined;
  /** When it ended, Unix milliseconds. */
  endedWallMs = 0;
  readonly moves: Move[] = [];
  moveCount = 0;
  #movedMs = Number.NEGATIVE_INFINITY;
  readonly #freeMoves = new TokenBucket(MOVES_AT_ONCE, MOVES_PER_SECOND, 0);
  #leftHops: readonly string[] = [];
  #moveReason: string | undefined;

  constructor(id: number, direction: 'out' | 'in', service: string, openedWallMs: number, conduit: Conduit) {
    super(id, direction, service, openedWallMs);
    this.conduit = conduit;
  }

  /** Its opener is to look for another way, and neither waits for a tunnel nor for an answer. */
  get mayAttach(): boolean {
    return this.direction === 'out' && !this.isAttaching && (this.isAttached || this.stream === undefined);
  }

  /** Whether it may look for another way at once; asking counts. What is let go again and again as soon as it is carried may not. */
  takeMove(nowMs: number): boolean {
    return this.#freeMoves.take(nowMs);
  }

  /** The way is lost, or about to be. */
  beginMove(reason: string, nowMs: number): void {
    if (this.#moveReason !== undefined) return;
    this.#moveReason = reason;
    this.#leftHops = this.hops;
    this.detachedMs = nowMs;
    if (nowMs - this.#movedMs >= STEADY_MS) this.retries = 0;
    this.retryMs = nowMs;
  }

  /** The next attempt to attach is later than the last one was. */
  pace(nowMs: number): void {
    this.retryMs = nowMs + Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.retries, 8));
    this.retries++;
  }

  /** Nothing carries it now. */
  detach(nowMs: number): void {
    if (this.isAttached || this.#moveReason === undefined) this.detachedMs = nowMs;
    this.isAttached = false;
    this.isAttaching = false;
    this.tunnel = undefined;
    this.stream = undefined;
  }

  /** Something carries it again, after this many milliseconds; undefined when nothing had before: that is no move. */
  endMove(nowMs: number, wallMs: number): number | undefined {
    const reason = this.#moveReason;
    if (reason === undefined) return undefined;
    const gapMs = nowMs - this.detachedMs;
    this.#moveReason = undefined;
    this.#movedMs = nowMs;
    this.moveCount++;
    if (this.moves.length >= MAX_MOVES) this.moves.shift();
    this.moves.push({ wallMs, from: this.#leftHops, to: this.hops, reason, gapMs });
    return gapMs;
  }

  override get creditBytes(): number {
    return Math.min(super.creditBytes, this.conduit.queue.roomBytes);
  }

  override get queuedBytes(): number {
    return this.conduit.queue.waitingBytes;
  }
}
