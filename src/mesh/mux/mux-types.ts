import type { Counters } from '#kernel/counters.ts';
import type { Ack, Hello, Reason } from '#mesh/mux/frame.ts';
import type { MuxStream } from '#mesh/mux/stream.ts';
import type { PeerWindows } from '#mesh/mux/window-pool.ts';

export interface MuxOptions {
  /** The side that opened the transport uses odd stream ids, the other even ones. */
  readonly role: 'dialer' | 'acceptor';
  readonly hello: Hello;
  /** This tunnel's access to the process's windows; closed with the mux. */
  readonly windows: PeerWindows;
  /** Streams that the peer may have open at once; over it OPEN is refused. */
  readonly maxPeerStreams: number;
  /** OPENs a second once the burst (the stream cap) is spent. */
  readonly opensPerSecond: number;
  readonly counters: Counters;
}

export type MuxEvent<Owner> =
  | { readonly kind: 'up'; readonly hello: Hello }
  | { readonly kind: 'opened'; readonly stream: MuxStream<Owner>; readonly body: Uint8Array }
  | { readonly kind: 'accepted'; readonly stream: MuxStream<Owner>; readonly body: Uint8Array }
  | { readonly kind: 'refused'; readonly stream: MuxStream<Owner>; readonly reason: Reason }
  | { readonly kind: 'data'; readonly stream: MuxStream<Owner>; readonly bytes: Uint8Array }
  | { readonly kind: 'fin'; readonly stream: MuxStream<Owner> }
  | { readonly kind: 'reset'; readonly stream: MuxStream<Owner>; readonly reason: Reason }
  | { readonly kind: 'writable'; readonly stream: MuxStream<Owner> }
  | { readonly kind: 'ack'; readonly stream: MuxStream<Owner>; readonly ack: Ack }
  /** A circuit that was opened here is to be left: a link on its way drains. */
  | { readonly kind: 'drain'; readonly stream: MuxStream<Owner>; readonly reason: Reason }
  | { readonly kind: 'finished'; readonly stream: MuxStream<Owner> }
  | { readonly kind: 'pong'; readonly token: number; readonly rttMs: number }
  | { readonly kind: 'goaway'; readonly reason: Reason }
  | { readonly kind: 'failed'; readonly reason: Reason };
