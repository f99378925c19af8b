import type { Reason } from '#mesh/mux/frame.ts';
import type { Mux } from '#mesh/mux/mux.ts';
import type { MuxStream } from '#mesh/mux/stream.ts';
import type { MessageReader } from '#mesh/node/message-reader.ts';
import type { PeerIdentity } from '#trust/identity.ts';

/** What a stream of a tunnel is for. */
export type Owner = LinkStateOwner | GossipOwner | RelayOwner | LocalStream;
export type Stream = MuxStream<Owner>;

export interface LinkStateOwner {
  readonly kind: 'linkstate';
  readonly reader: MessageReader;
}

export interface GossipOwner {
  readonly kind: 'gossip';
  readonly reader: MessageReader;
}

/** A circuit that runs through this node, shared by its two halves. */
export interface RelayedCircuit {
  /** `neighbour>neighbour`, for the caps. */
  readonly pair: string;
  isReleased: boolean;
  /** Its opener was told to leave it. */
  isLeaving: boolean;
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

  constructor(id: number, direction: 'out' | 'in', service: string, openedWallMs: number) {
    this.id = id;
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
