import type { RandomSource } from '#kernel/random.ts';
import type { GossipPorts } from '#mesh/gossip/snapshot-gossip.ts';
import type { LinkStatePorts } from '#mesh/linkstate/ports.ts';
import type { StreamPolicy } from '#mesh/node/stream-policy.ts';
import type { LocalStream } from '#mesh/node/tunnel.ts';
import type { PeerIdentity } from '#trust/identity.ts';

export interface MeshNodePorts {
  readonly policy: StreamPolicy;
  readonly random: RandomSource;
  readonly linkState: LinkStatePorts;
  readonly gossip: GossipPorts;
}

export interface MeshNodeOptions {
  readonly name: string;
  /** Unix milliseconds at which this process began. */
  readonly incarnation: number;
  readonly relay: boolean;
  /** Streams that a peer may have open on one tunnel. */
  readonly maxPeerStreams?: number;
  readonly opensPerSecond?: number;
  readonly poolBytes?: number;
}

/** A transport whose peer the driver has authenticated. */
export interface OpenedTunnel {
  readonly peer: PeerIdentity;
  readonly via: 'tcp' | 'circuit';
  readonly role: 'dialer' | 'acceptor';
  readonly hops: readonly string[];
  /** The stream that carries it, of a tunnel via circuit. */
  readonly circuit?: LocalStream;
  readonly group: string;
  /** When this node's own certificate of the handshake ends, Unix milliseconds. */
  readonly ownNotAfterMs?: number;
}
