import type { Reason } from '#mesh/mux/frame.ts';
import type { Tunnel } from '#mesh/node/tunnel.ts';

/** An end-to-end tunnel costs a handshake to build and a circuit to hold. */
const IDLE_END_TO_END_MS = 60_000;
/** AES-GCM's limit for one key with room to spare (RFC 8446 §5.5); no key update is exposed by the runtime. */
const TUNNEL_LIMIT_BYTES = 256 * 1024 ** 3;
/** What the peer still had under way when the last stream ended. */
const DRAINED_MS = 250;

/** `drain`: open nothing more on it; `end`: close it. */
export interface Upkeep {
  readonly kind: 'drain' | 'end';
  readonly reason: Reason;
}

/** What is to be done about a tunnel that has nothing wrong with it, asked a few times a second. */
export function decideUpkeep(tunnel: Tunnel, nowMs: number, wallMs: number): Upkeep | undefined {
  if (wallMs >= tunnel.notAfterMs) return { kind: 'end', reason: { code: 'CERT_EXPIRED' } };
  const idleMs = nowMs - tunnel.idleSinceMs;
  if (tunnel.state === 'draining' && idleMs >= DRAINED_MS) return { kind: 'end', reason: { code: 'TUNNEL_DRAINED' } };
  if (tunnel.state !== 'up') return undefined;
  if (tunnel.mux.bytesSent > TUNNEL_LIMIT_BYTES) return { kind: 'drain', reason: { code: 'TUNNEL_KEY_LIMIT' } };
  const isOurs = tunnel.via === 'circuit' && tunnel.role === 'dialer';
  return isOurs && idleMs >= IDLE_END_TO_END_MS ? { kind: 'drain', reason: { code: 'TUNNEL_IDLE' } } : undefined;
}
