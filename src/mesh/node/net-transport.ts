import type { NetNode } from '#mesh/node/node-net.ts';
import type { Tunnel } from '#mesh/node/tunnel.ts';

/** One end of a transport: what its node writes arrives at the other end after a delay. */
export class TransportEnd {
  readonly node: NetNode;
  readonly tunnel: Tunnel;
  readonly queue: { readonly atMs: number; readonly bytes: Uint8Array | undefined }[] = [];
  other: TransportEnd | undefined;
  isClosed = false;
  /** Takes nothing from its node, as a socket whose peer stopped reading. */
  isFrozen = false;

  constructor(node: NetNode, tunnel: Tunnel) {
    this.node = node;
    this.tunnel = tunnel;
  }
}
