import type { Counters } from '#kernel/counters.ts';
import { countableCode } from '#kernel/error-codes.ts';
import { encodeConduitAttach } from '#mesh/conduit/conduit-open.ts';
import { type Reason, StreamKind } from '#mesh/mux/frame.ts';
import type { ConduitCarrier } from '#mesh/node/conduit-carrier.ts';
import type { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import type { EndToEnd } from '#mesh/node/end-to-end.ts';
import type { Tunnel } from '#mesh/node/tunnel.ts';

interface DetachedConduitsPorts {
  readonly counters: Counters;
  readonly endToEnd: EndToEnd;
  nowMs(): number;
  touch(tunnel: Tunnel): void;
}

/** How long a conduit waits for another way before it ends. */
const DETACHED_MS = 60_000;

/** The conduits that nothing carries, or not for long: those that were opened here look for another way, the others wait for theirs. */
export class DetachedConduits {
  readonly #ports: DetachedConduitsPorts;
  readonly #carrier: ConduitCarrier;
  readonly #lose: (local: ConduitHandle, code: string) => void;
  readonly #detached = new Set<ConduitHandle>();
  /** When the first of those that seek tries again. */
  #nextRetryMs = Number.POSITIVE_INFINITY;

  /** `lose`: it ends, because no way was found or its other end is gone. */
  constructor(
    ports: DetachedConduitsPorts,
    carrier: ConduitCarrier,
    lose: (local: ConduitHandle, code: string) => void,
  ) {
    this.#ports = ports;
    this.#carrier = carrier;
    this.#lose = lose;
  }

  get nextRetryMs(): number {
    return this.#nextRetryMs;
  }

  all(): Iterable<ConduitHandle> {
    return this.#detached;
  }

  add(local: ConduitHandle): void {
    this.#detached.add(local);
  }

  delete(local: ConduitHandle): void {
    this.#detached.delete(local);
  }

  /** What is let go again and again as soon as it is carried comes back ever more slowly. */
  seek(local: ConduitHandle): void {
    if (local.takeMove(this.#ports.nowMs())) this.#attach(local);
    else this.pace(local);
  }

  /** It tries again, later than the last time. */
  pace(local: ConduitHandle): void {
    local.pace(this.#ports.nowMs());
    this.#noteRetry(local);
  }

  /** Ends what is detached too long, and tries again. */
  handleDeadline(nowMs: number): void {
    for (const local of this.#detached) {
      if (!local.isAttached && nowMs >= local.detachedMs + DETACHED_MS) this.#lose(local, 'CONDUIT_LOST');
      else if (local.mayAttach && nowMs >= local.retryMs) this.#attach(local);
    }
    this.#nextRetryMs = Number.POSITIVE_INFINITY;
    for (const local of this.#detached) if (local.mayAttach) this.#noteRetry(local);
  }

  #attach(local: ConduitHandle): void {
    local.isAttaching = true;
    this.#ports.endToEnd.acquire(
      local.peer,
      (tunnel, reason) => this.#attachTo(local, tunnel, reason),
      this.#ports.nowMs(),
    );
  }

  #attachTo(local: ConduitHandle, tunnel: Tunnel | undefined, reason: Reason): void {
    if (local.state !== 'open' || !local.isAttaching) return;
    local.isAttaching = false;
    if (tunnel === undefined || tunnel === local.tunnel) return this.#retryLater(local, reason);
    if (tunnel.incarnation !== local.conduit.incarnation) return this.#lose(local, 'CONDUIT_UNKNOWN');
    const { id, position, unconsumedBytes } = local.conduit;
    const attempt = local.conduit.attempt + 1;
    const body = encodeConduitAttach({ id, attempt, ...position });
    const opened = tunnel.mux.open(StreamKind.attach, body, local, 'local', unconsumedBytes);
    if (!opened.ok) return this.#retryLater(local, { code: opened.error });
    local.conduit.attempt = attempt;
    this.#carrier.leave(local);
    this.#carrier.bind(local, tunnel, opened.value);
    const { sizeBytes, creditBytes } = opened.value.window;
    local.conduit.charge(sizeBytes - creditBytes);
    this.#ports.touch(tunnel);
  }

  #retryLater(local: ConduitHandle, reason: Reason): void {
    this.#ports.counters.add(`attach-failed-${countableCode(reason.code)}`);
    this.pace(local);
  }

  #noteRetry({ retryMs }: ConduitHandle): void {
    this.#nextRetryMs = Math.min(this.#nextRetryMs, retryMs);
  }
}
