import type { Reason } from '#mesh/mux/frame.ts';
import type { EndToEnd } from '#mesh/node/end-to-end.ts';
import type { NodeOutput } from '#mesh/node/output.ts';
import type { Tunnel } from '#mesh/node/tunnel.ts';

interface PingsPorts {
  readonly endToEnd: EndToEnd;
  nowMs(): number;
  emit(output: NodeOutput): void;
  touch(tunnel: Tunnel): void;
}

/** Round trips that somebody asked for, over the tunnels that streams would take. Each ends in a `pong` or `ping-failed` output. */
export class Pings {
  readonly #ports: PingsPorts;

  constructor(ports: PingsPorts) {
    this.#ports = ports;
  }

  ping(peer: string, token: number, nowMs: number): void {
    this.#ports.endToEnd.acquire(peer, (tunnel, reason) => this.#send(tunnel, token, reason), nowMs);
  }

  /** The answers of this tunnel will not come. */
  handleLost(tunnel: Tunnel, reason: Reason): void {
    for (const token of tunnel.mux.pingTokens()) this.#ports.emit({ kind: 'ping-failed', token, reason });
  }

  #send(tunnel: Tunnel | undefined, token: number, reason: Reason): void {
    if (tunnel === undefined) return this.#ports.emit({ kind: 'ping-failed', token, reason });
    const isSent = tunnel.mux.ping(token, this.#ports.nowMs());
    this.#ports.touch(tunnel);
    if (!isSent) this.#ports.emit({ kind: 'ping-failed', token, reason: { code: 'TUNNEL_BACKLOG' } });
  }
}
