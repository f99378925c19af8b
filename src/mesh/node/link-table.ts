import type { Tunnel } from '#mesh/node/tunnel.ts';

/** What is to be done when a tunnel came up. */
export type LinkDecision =
  | { readonly kind: 'first' }
  | { readonly kind: 'replace'; readonly loser: Tunnel }
  | { readonly kind: 'lose' };

/**
 * The one link per neighbour. Two links to the same neighbour arise when both sides dial at once or when one side came
 * back before the other noticed; both sides apply the same rule to the same facts, so they keep the same one: the newer
 * incarnation wins, then the side's later dial; of crossing dials that of the lower name stays.
 */
export class LinkTable {
  readonly #self: string;
  readonly #links = new Map<string, Tunnel>();

  constructor(self: string) {
    this.#self = self;
  }

  get size(): number {
    return this.#links.size;
  }

  get(peer: string): Tunnel | undefined {
    return this.#links.get(peer);
  }

  values(): IterableIterator<Tunnel> {
    return this.#links.values();
  }

  /** Decides about a new link and, unless it loses, enters it. */
  handleUp(tunnel: Tunnel): LinkDecision {
    const present = this.#links.get(tunnel.peer.name);
    if (present === undefined) {
      this.#links.set(tunnel.peer.name, tunnel);
      return { kind: 'first' };
    }
    if (!this.#wins(tunnel, present)) return { kind: 'lose' };
    this.#links.set(tunnel.peer.name, tunnel);
    return { kind: 'replace', loser: present };
  }

  /** True when it was the present link of its peer. */
  remove(tunnel: Tunnel): boolean {
    if (this.#links.get(tunnel.peer.name) !== tunnel) return false;
    return this.#links.delete(tunnel.peer.name);
  }

  #wins(tunnel: Tunnel, present: Tunnel): boolean {
    if (tunnel.incarnation !== present.incarnation) return tunnel.incarnation > present.incarnation;
    if (tunnel.role === present.role) return true;
    const lowerDials = this.#self < tunnel.peer.name ? 'dialer' : 'acceptor';
    return tunnel.role === lowerDials;
  }
}
