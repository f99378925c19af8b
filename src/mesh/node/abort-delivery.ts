import { encodeConduitAttach } from '#mesh/conduit/conduit-open.ts';
import { TRANSIENT } from '#mesh/conduit/reasons.ts';
import { type Reason, StreamKind } from '#mesh/mux/frame.ts';
import type { EndToEnd } from '#mesh/node/end-to-end.ts';
import type { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import type { Stream, Tunnel } from '#mesh/node/tunnel.ts';

export interface AbortDeliveryPorts {
  readonly endToEnd: EndToEnd;
  nowMs(): number;
  touch(tunnel: Tunnel): void;
}

/** The other end gives up by itself after as long. */
const LONGEST_MS = 60_000;
const RETRY_MS = 500;
/** As many as one opener may have at one node; beyond it the other end finds out by itself. */
const MAX_PENDING = 16_384;

interface Pending {
  readonly reason: Reason;
  readonly sinceMs: number;
  attempt: number;
  retryMs: number;
  /** Where RESET went, or the attachment that is to carry it. */
  tunnel: Tunnel | undefined;
  stream: Stream | undefined;
  sentMs: number | undefined;
  isTrying: boolean;
}

/**
 * Resets of conduits that this node has opened, until the other end has them: one that goes into a tunnel which is dead, and not yet
 * known to be, is sent again over the next, by attaching and resetting. A PONG to a PING that was sent later shows that it arrived.
 */
export class AbortDelivery {
  readonly #ports: AbortDeliveryPorts;
  readonly #pending = new Map<ConduitHandle, Pending>();

  constructor(ports: AbortDeliveryPorts) {
    this.#ports = ports;
  }

  /** `tunnel`: over which RESET went already. */
  begin(local: ConduitHandle, reason: Reason, tunnel: Tunnel | undefined): void {
    if (this.#pending.size >= MAX_PENDING) return;
    const nowMs = this.#ports.nowMs();
    const { attempt } = local.conduit;
    const sentMs = tunnel === undefined ? undefined : nowMs;
    const state = { attempt, retryMs: nowMs, tunnel, stream: undefined, sentMs, isTrying: false };
    const pending = { reason, sinceMs: nowMs, ...state };
    this.#pending.set(local, pending);
    if (tunnel === undefined) this.#try(local, pending);
  }

  /** The attachment was accepted. */
  handleAccepted(local: ConduitHandle, stream: Stream): void {
    const pending = this.#pending.get(local);
    if (pending === undefined || pending.stream !== stream || pending.tunnel === undefined) return;
    pending.stream = undefined;
    pending.sentMs = this.#ports.nowMs();
    pending.tunnel.mux.reset(stream, pending.reason);
    this.#ports.touch(pending.tunnel);
  }

  /** The attachment was refused: unless that says nothing about the conduit, there is nobody left to tell. */
  handleEnded(local: ConduitHandle, stream: Stream, reason: Reason, isLost: boolean): void {
    const pending = this.#pending.get(local);
    if (pending === undefined || pending.stream !== stream) return;
    if (isLost || TRANSIENT.has(reason.code)) this.#retryLater(pending);
    else this.#pending.delete(local);
  }

  handleDeadline(nowMs: number): void {
    for (const [local, pending] of this.#pending) {
      if (nowMs >= pending.sinceMs + LONGEST_MS || hasArrived(pending)) this.#pending.delete(local);
      else if (pending.sentMs !== undefined && pending.tunnel?.state === 'closed') this.#retryLater(pending);
      else if (isIdle(pending) && nowMs >= pending.retryMs) this.#try(local, pending);
    }
  }

  #retryLater(pending: Pending): void {
    pending.tunnel = undefined;
    pending.stream = undefined;
    pending.sentMs = undefined;
    pending.retryMs = this.#ports.nowMs() + RETRY_MS;
  }

  #try(local: ConduitHandle, pending: Pending): void {
    pending.isTrying = true;
    const attach = (tunnel: Tunnel | undefined): void => {
      pending.isTrying = false;
      this.#retryLater(pending);
      if (tunnel === undefined || !this.#pending.has(local)) return;
      const { id, position } = local.conduit;
      pending.attempt++;
      const body = encodeConduitAttach({ id, attempt: pending.attempt, ...position });
      const opened = tunnel.mux.open(StreamKind.attach, body, local, 'local');
      if (!opened.ok) return;
      pending.tunnel = tunnel;
      pending.stream = opened.value;
      this.#ports.touch(tunnel);
    };
    this.#ports.endToEnd.acquire(local.peer, attach, this.#ports.nowMs());
  }
}

function isIdle({ isTrying, tunnel }: Pending): boolean {
  return !isTrying && tunnel === undefined;
}

function hasArrived({ sentMs, tunnel }: Pending): boolean {
  return sentMs !== undefined && tunnel !== undefined && tunnel.mux.answeredMs > sentMs;
}
