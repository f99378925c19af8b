import { type EndReason, Tombstones } from '#mesh/conduit/tombstones.ts';
import type { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import type { Tunnel } from '#mesh/node/tunnel.ts';

/** Of one opener, attached or waiting for it: as many as streams, so that a relay's death ends none. */
const MAX_OFFERED = 16_384;

interface ToldReset {
  readonly local: ConduitHandle;
  readonly tunnel: Tunnel;
  readonly sentMs: number;
}

/** The conduits that others offered to this node, by opener and id, and how those ended that are over. */
export class OfferedConduits {
  readonly #live = new Map<string, Map<string, ConduitHandle>>();
  readonly #tombstones = new Tombstones();
  /** Resets that went to openers and may not have arrived; as many as tombstones at most. */
  readonly #told = new Set<ToldReset>();

  get isEmpty(): boolean {
    return this.#live.size === 0;
  }

  get(opener: string, id: string): ConduitHandle | undefined {
    return this.#live.get(opener)?.get(id);
  }

  endOf(opener: string, id: string): EndReason | undefined {
    return this.#tombstones.get(opener, id);
  }

  /** Whether this opener may offer no more for now. */
  isFull(opener: string): boolean {
    return (this.#live.get(opener)?.size ?? 0) >= MAX_OFFERED || this.#tombstones.isFull(opener);
  }

  add(opener: string, local: ConduitHandle): void {
    const live = this.#live.get(opener) ?? new Map<string, ConduitHandle>();
    this.#live.set(opener, live.set(local.conduit.id, local));
  }

  /** `isKnown`: its opener need not ask how it ended. */
  end({ peer, conduit }: ConduitHandle, reason: EndReason, isKnown: boolean, nowMs: number): void {
    const live = this.#live.get(peer);
    live?.delete(conduit.id);
    if (live?.size === 0) this.#live.delete(peer);
    this.#tombstones.add(peer, conduit.id, reason, nowMs);
    if (isKnown) this.#tombstones.confirm(peer, conduit.id, nowMs);
  }

  /** Its opener knows how it ended. */
  confirm({ peer, conduit }: ConduitHandle, nowMs: number): void {
    this.#tombstones.confirm(peer, conduit.id, nowMs);
  }

  /** A reset of it went over this tunnel: its opener knows once a PING that is sent later was answered. */
  noteTold(local: ConduitHandle, tunnel: Tunnel, sentMs: number): void {
    this.#told.add({ local, tunnel, sentMs });
  }

  handleDeadline(nowMs: number): void {
    this.#tombstones.handleDeadline(nowMs);
    for (const told of this.#told) {
      if (told.tunnel.mux.answeredMs > told.sentMs) this.confirm(told.local, nowMs);
      else if (told.tunnel.state !== 'closed') continue;
      this.#told.delete(told);
    }
  }
}
