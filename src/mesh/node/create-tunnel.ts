import type { Counters } from '#kernel/counters.ts';
import { NO_TUNNEL_ID, OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION, type Reason } from '#mesh/mux/frame.ts';
import { Mux } from '#mesh/mux/mux.ts';
import type { WindowPool } from '#mesh/mux/window-pool.ts';
import type { OpenedTunnel } from '#mesh/node/node-options.ts';
import { KEY_REPLACE_BYTES, replacementWallMs } from '#mesh/node/tunnel-upkeep.ts';
import type { Owner, Tunnel } from '#mesh/node/tunnel.ts';
import type { RevocationSet } from '#trust/revocation.ts';

export interface TunnelSettings {
  /** Within this process. */
  readonly id: number;
  /** On the wire: 16 random bytes. */
  readonly tunnelId: Uint8Array;
  readonly incarnation: number;
  readonly pool: WindowPool;
  readonly maxPeerStreams: number;
  readonly opensPerSecond: number;
  readonly counters: Counters;
  readonly nowMs: number;
  readonly wallMs: number;
}

/** Why a transport whose peer proved its identity does not become a tunnel, or undefined. */
export function refusalOf(
  { peer, via }: OpenedTunnel,
  self: string,
  revocations: RevocationSet,
  acceptsLink: (peer: string) => boolean,
): Reason | undefined {
  if (revocations.isRevoked(peer)) return { code: 'CERT_REVOKED' };
  if (peer.name === self) return { code: 'PEER_IS_SELF' };
  if (peer.role !== 'node') return { code: 'CERT_WRONG_ROLE' };
  return via === 'tcp' && !acceptsLink(peer.name) ? { code: 'LINK_NOT_PLANNED' } : undefined;
}

/** A tunnel on a transport whose peer is authenticated; with a refusal its HELLO says so and nothing is read. */
export function createTunnel(opened: OpenedTunnel, refusal: Reason | undefined, settings: TunnelSettings): Tunnel {
  const { peer, via, role, hops, group } = opened;
  const { id, nowMs, wallMs, incarnation, tunnelId } = settings;
  const notAfterMs = Math.min(peer.notAfterMs, opened.ownNotAfterMs ?? peer.notAfterMs);
  const hello = {
    version: PROTOCOL_VERSION,
    oldestVersion: OLDEST_PROTOCOL_VERSION,
    incarnation,
    features: 0,
    tunnelId,
    replaces: NO_TUNNEL_ID,
    ...(refusal === undefined ? {} : { refusal }),
  };
  const mux = new Mux<Owner>({ ...settings, windows: settings.pool.windowsOf(peer.name), role, hello }, nowMs);
  return {
    id,
    peer,
    via,
    role,
    hops,
    circuit: opened.circuit,
    group,
    notAfterMs,
    replaceWallMs: replacementWallMs(peer.notBeforeMs, notAfterMs, wallMs),
    replaceBytes: KEY_REPLACE_BYTES,
    mux,
    incarnation: 0,
    state: 'greeting',
    linkstate: undefined,
    idleSinceMs: nowMs,
  };
}
