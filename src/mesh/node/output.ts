import type { OfferedSnapshot } from '#mesh/gossip/snapshot-gossip.ts';
import type { Reason } from '#mesh/mux/frame.ts';
import type { LocalStream, Tunnel } from '#mesh/node/tunnel.ts';
import type { PeerIdentity } from '#trust/identity.ts';
import type { SnapshotInstance } from '#trust/snapshot.ts';

/** What the driver of a node must do next. */
export type NodeOutput =
  /** Open a TCP connection and a TLS tunnel on it; answer by `handleTunnelOpened` or `handleDialFailed`. */
  | { readonly kind: 'dial'; readonly peer: string; readonly address: string }
  /** Stop what `dial` began. */
  | { readonly kind: 'cancel-dial'; readonly peer: string }
  /** Send what is queued, then end the transport. */
  | { readonly kind: 'close-tunnel'; readonly tunnel: Tunnel; readonly reason: Reason }
  /** Run the TLS of an end-to-end tunnel over a circuit; answer by `handleTunnelOpened` or `handleSecureFailed`. */
  | {
      readonly kind: 'secure';
      readonly stream: LocalStream;
      readonly role: 'dialer' | 'acceptor';
      readonly peer: string;
    }
  /** Connect to the target of a service for a caller; answer by `acceptStream` or `refuseStream`. */
  | {
      readonly kind: 'incoming';
      readonly stream: LocalStream;
      readonly caller: PeerIdentity;
      readonly instance: SnapshotInstance;
    }
  /** A neighbour has a newer snapshot; answer by `handleBelieved`. */
  | { readonly kind: 'snapshot-offered'; readonly peer: string; readonly offer: OfferedSnapshot }
  | { readonly kind: 'accepted'; readonly stream: LocalStream }
  | { readonly kind: 'refused'; readonly stream: LocalStream; readonly reason: Reason }
  /** Bytes for the stream's reader, who says by `consume` when it is done with them. */
  | { readonly kind: 'data'; readonly stream: LocalStream; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly stream: LocalStream }
  | { readonly kind: 'reset'; readonly stream: LocalStream; readonly reason: Reason }
  | { readonly kind: 'writable'; readonly stream: LocalStream }
  | { readonly kind: 'pong'; readonly token: number; readonly rttMs: number }
  | { readonly kind: 'ping-failed'; readonly token: number; readonly reason: Reason }
  | { readonly kind: 'alarm'; readonly code: string; readonly detail: string };
