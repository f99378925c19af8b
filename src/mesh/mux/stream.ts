import type { ReceiveWindow } from '#mesh/mux/receive-window.ts';
import { type SendBuffer, SendQueue } from '#mesh/mux/send-queue.ts';

/** Half-life of what a stream lately sent, for telling interactive streams from bulk. */
const RECENT_HALF_LIFE_MS = 200;
/** A stream that lately sent less than this is interactive: some hundred keystrokes, or one small page. */
const INTERACTIVE_BYTES = 32_768;

export type StreamState = 'opening' | 'offered' | 'open' | 'closed';

/**
 * One stream of a tunnel. Its life: `opening` (we sent OPEN) or `offered` (the peer did), `open` after ACCEPT, each
 * side ends its direction by FIN, `closed` after both or by REFUSE, RESET or the tunnel's end. Owned by its Mux; the
 * owner of the stream reads it and keeps its own state in `owner`.
 */
export class MuxStream<Owner> {
  readonly id: number;
  readonly kind: number;
  /** Streams of one group share the tunnel fairly with other groups: a relay's inbound neighbour, or 'local'. */
  group: string;
  /** Undefined until whoever takes the 'opened' event sets it. */
  owner: Owner | undefined;
  state: StreamState;
  /** What the peer may send. */
  readonly window: ReceiveWindow;
  /** Replaced by the owner of a resumable stream, whose bytes outlive this one. */
  queue: SendBuffer = new SendQueue();
  /** The end of both directions does not end it; its owner says when. */
  lingers = false;
  /** Bytes that the peer lets us send. */
  sendCredit = 0;
  finQueued = false;
  finSent = false;
  finReceived = false;
  isScheduled = false;
  /** Set above zero by the owner to get one `writable` event once the queue is below it. */
  wakeBelowBytes = 0;
  #recentBytes = 0;
  #recentMs = 0;

  constructor(
    id: number,
    kind: number,
    group: string,
    owner: Owner | undefined,
    state: StreamState,
    window: ReceiveWindow,
  ) {
    this.window = window;
    this.id = id;
    this.kind = kind;
    this.group = group;
    this.owner = owner;
    this.state = state;
  }

  /** Has something that may be sent now. */
  get isReady(): boolean {
    if (this.state !== 'open' || this.finSent) return false;
    return this.queue.bytes > 0 ? this.sendCredit > 0 && this.queue.takeableBytes > 0 : this.finQueued;
  }

  noteSent(bytes: number, nowMs: number): void {
    this.#recentBytes = this.#decayed(nowMs) + bytes;
    this.#recentMs = nowMs;
  }

  isInteractive(nowMs: number): boolean {
    return this.#decayed(nowMs) + this.queue.bytes < INTERACTIVE_BYTES;
  }

  #decayed(nowMs: number): number {
    return this.#recentBytes * 0.5 ** ((nowMs - this.#recentMs) / RECENT_HALF_LIFE_MS);
  }
}
