import type { Conduit } from '#mesh/conduit/conduit.ts';
import type { Reason } from '#mesh/mux/frame.ts';
import type { Mux } from '#mesh/mux/mux.ts';
import type { MuxStream } from '#mesh/mux/stream.ts';
import type { MessageReader } from '#mesh/node/message-reader.ts';
import type { PeerIdentity } from '#trust/identity.ts';

/** What a stream of a tunnel is for. */
export type Owner = LinkStateOwner | RelayOwner | LocalStream;
export type Stream = MuxStream<Owner>;

export interface LinkStateOwner {
  readonly kind: 'linkstate';
  readonly reader: MessageReader;
}

/** A circuit that runs through this node, shared by its two halves. */
export interface RelayedCircuit {
  /** `neighbour>neighbour`, for the caps. */
  readonly pair: string;
  isReleased: boolean;
}

/** One half of a circuit that runs through this node; its mate is the other half, on another link. */
export interface RelayOwner {
  readonly kind: 'relay';
  readonly mate: Stream;
  readonly mateTunnel: Tunnel;
  readonly circuit: RelayedCircuit;
  /** Opened by this node: its mate leads to the circuit's opener. */
  readonly isOutbound: boolean;
  /** Received on this half, forwarded, and not yet granted again because the mate's queue is long. */
  heldBytes: number;
}

/** A tunnel of this node: a link (over TCP) or an end-to-end tunnel (over a circuit). */
export interface Tunnel {
  readonly id: number;
  readonly peer: PeerIdentity;
  readonly via: 'tcp' | 'circuit';
  readonly role: 'dialer' | 'acceptor';
  /** The nodes after this one, the peer last; `…` stands for those that an acceptor cannot know. */
  readonly hops: readonly string[];
  /** The stream that carries it, if it is no link. */
  readonly circuit: LocalStream | undefined;
  /** The key exchange that the handshake used. */
  readonly group: string;
  /** When the earlier of the two certificates ends, Unix milliseconds. */
  readonly notAfterMs: number;
  /** When another is to be made in its place, Unix milliseconds. */
  replaceWallMs: number;
  /** Likewise, bytes that a direction has carried. */
  replaceBytes: number;
  readonly mux: Mux<Owner>;
  /** Milliseconds since the epoch at which the peer's process began; 0 before its HELLO. */
  incarnation: number;
  state: 'greeting' | 'up' | 'draining' | 'closed';
  linkstate: Stream | undefined;
  /** When the last application stream ended, for closing idle end-to-end tunnels. */
  idleSinceMs: number;
}

/** A stream that begins or ends at this node: an application's, or a circuit on which an end-to-end tunnel runs. */
export class LocalStream {
  readonly kind = 'local';
  readonly id: number;
  readonly purpose: 'circuit' | 'service';
  readonly direction: 'out' | 'in';
  /** The service that is asked for; empty for a circuit. */
  readonly service: string;
  readonly openedWallMs: number;
  peer = '';
  hops: readonly string[] = [];
  tunnel: Tunnel | undefined;
  stream: Stream | undefined;
  state: 'opening' | 'open' | 'closed' = 'opening';
  endReason: Reason | undefined;
  /** A circuit over a link that drains. */
  isLeaving = false;

  constructor(
    id: number,
    purpose: 'circuit' | 'service',
    direction: 'out' | 'in',
    service: string,
    openedWallMs: number,
  ) {
    this.id = id;
    this.purpose = purpose;
    this.direction = direction;
    this.service = service;
    this.openedWallMs = openedWallMs;
  }

  /** The stream runs on this tunnel, to this peer, by these nodes. */
  attach(tunnel: Tunnel, stream: Stream, peer: string, hops: readonly string[]): void {
    this.tunnel = tunnel;
    this.stream = stream;
    this.peer = peer;
    this.hops = hops;
  }

  /** Bytes that the peer lets this side send now. */
  get creditBytes(): number {
    return this.stream?.sendCredit ?? 0;
  }

  /** Bytes accepted from the writer and not yet handed to the transport. */
  get queuedBytes(): number {
    return this.stream?.queue.bytes ?? 0;
  }
}

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

/** A stream of a service: a conduit, which goes on over another tunnel when its own is lost. */
export class ConduitHandle extends LocalStream {
  conduit: Conduit;
  /** At the end that was called: the opener's name and the conduit's id. */
  readonly key: string;
  /** Bytes may flow on `stream`. */
  isAttached = false;
  /** Waits for a tunnel to attach to. */
  isAttaching = false;
  detachedMs = 0;
  retryMs = 0;
  retries = 0;
  wakeBelowBytes = 0;
  peerIdentity: PeerIdentity | undefined;
  /** When it ended, Unix milliseconds. */
  endedWallMs = 0;
  readonly moves: Move[] = [];
  moveCount = 0;
  #leftHops: readonly string[] = [];
  #moveReason: string | undefined;

  constructor(
    id: number,
    direction: 'out' | 'in',
    service: string,
    openedWallMs: number,
    conduit: Conduit,
    key: string,
  ) {
    super(id, 'service', direction, service, openedWallMs);
    this.conduit = conduit;
    this.key = key;
  }

  /** Its opener is to look for another way, and neither waits for a tunnel nor for an answer. */
  get mayAttach(): boolean {
    return this.direction === 'out' && !this.isAttaching && (this.isAttached || this.stream === undefined);
  }

  /** The way is lost, or about to be. */
  beginMove(reason: string, nowMs: number): void {
    if (this.#moveReason !== undefined) return;
    this.#moveReason = reason;
    this.#leftHops = this.hops;
    this.detachedMs = nowMs;
    this.retries = 0;
    this.retryMs = nowMs;
  }

  /** Nothing carries it now. */
  detach(nowMs: number): void {
    if (this.isAttached || this.#moveReason === undefined) this.detachedMs = nowMs;
    this.isAttached = false;
    this.isAttaching = false;
    this.tunnel = undefined;
    this.stream = undefined;
  }

  endMove(nowMs: number, wallMs: number): void {
    const reason = this.#moveReason ?? 'CONDUIT_MOVED';
    this.#moveReason = undefined;
    this.moveCount++;
    if (this.moves.length >= MAX_MOVES) this.moves.shift();
    this.moves.push({ wallMs, from: this.#leftHops, to: this.hops, reason, gapMs: nowMs - this.detachedMs });
  }

  override get queuedBytes(): number {
    return this.conduit.queue.waitingBytes;
  }
}
