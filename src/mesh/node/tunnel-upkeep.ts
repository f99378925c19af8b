import type { Reason } from '#mesh/mux/frame.ts';
import { type Liveness, PATIENT } from '#mesh/mux/liveness.ts';
import type { Tunnel } from '#mesh/node/tunnel.ts';

/** An end-to-end tunnel costs a handshake to build and a circuit to hold. */
const IDLE_END_TO_END_MS = 60_000;
/** Its successor is made once a direction has carried this, because the runtime exposes no key update, and tried for again after that much more. */
export const KEY_REPLACE_BYTES = 256 * 1024 ** 3;
const KEY_RETRY_BYTES = 8 * 1024 ** 3;
/** And here the tunnel ends whatever it carries: 2^24.5 full records are AES-GCM's limit for one key (RFC 8446 §5.5), 362 GiB. */
const KEY_END_BYTES = 320 * 1024 ** 3;
/** What the peer still had under way when the last stream ended. */
const DRAINED_MS = 250;

/** An end-to-end tunnel that carries streams: what detectors of links do not see happens between them. */
const CARRYING: Liveness = { intervalMs: 250, patienceMs: 600, takesProgress: false };

/** How closely a tunnel is to be watched. */
export function livenessOf(tunnel: Tunnel): Liveness {
  return tunnel.via === 'circuit' && tunnel.mux.streamCount > 0 ? CARRYING : PATIENT;
}

/** The last part of a certificate's life, in which its tunnels are replaced: certificates are renewed at half of it. */
const REPLACE_SHARE = 0.25;

/** Certificates are valid from so long before they were issued, because OpenSSL allows no skew. */
const BACKDATED_MS = 15 * 60_000;

/** `drain`: open nothing more on it; `end`: close it; `replace`: make another before it ends. */
export interface Upkeep {
  readonly kind: 'drain' | 'end' | 'replace';
  readonly reason: Reason;
}

/** What is to be done about a tunnel that has nothing wrong with it, asked a few times a second. */
export function decideUpkeep(tunnel: Tunnel, nowMs: number, wallMs: number): Upkeep | undefined {
  if (wallMs >= tunnel.notAfterMs) return { kind: 'end', reason: { code: 'CERT_EXPIRED' } };
  const idleMs = nowMs - tunnel.idleSinceMs;
  if (tunnel.mux.carriedBytes >= KEY_END_BYTES) return { kind: 'end', reason: { code: 'TUNNEL_KEY_LIMIT' } };
  if (tunnel.state === 'draining' && idleMs >= DRAINED_MS) return { kind: 'end', reason: { code: 'TUNNEL_DRAINED' } };
  if (tunnel.state !== 'up') return undefined;
  const isWorn = wallMs >= tunnel.replaceWallMs || tunnel.mux.carriedBytes >= tunnel.replaceBytes;
  if (tunnel.role === 'dialer' && isWorn) return { kind: 'replace', reason: { code: 'TUNNEL_REPLACED' } };
  const isOurs = tunnel.via === 'circuit' && tunnel.role === 'dialer';
  return isOurs && idleMs >= IDLE_END_TO_END_MS ? { kind: 'drain', reason: { code: 'TUNNEL_IDLE' } } : undefined;
}

/** A successor is being made: the next is due only if this one comes to nothing. */
export function noteReplacing(tunnel: Tunnel, wallMs: number): void {
  tunnel.replaceWallMs = replacementWallMs(tunnel.peer.notBeforeMs, tunnel.notAfterMs, wallMs);
  if (tunnel.mux.carriedBytes >= tunnel.replaceBytes) tunnel.replaceBytes = tunnel.mux.carriedBytes + KEY_RETRY_BYTES;
}

/** When a tunnel that ends with its certificates is to be replaced, Unix milliseconds. Where no newer certificate came, each attempt halves what is left. */
export function replacementWallMs(notBeforeMs: number, notAfterMs: number, wallMs: number): number {
  const validMs = notAfterMs - notBeforeMs;
  const lifeMs = validMs > BACKDATED_MS ? validMs - BACKDATED_MS : validMs;
  const dueMs = notAfterMs - lifeMs * REPLACE_SHARE;
  return dueMs > wallMs ? dueMs : wallMs + (notAfterMs - wallMs) / 2;
}
