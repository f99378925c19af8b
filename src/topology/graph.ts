/** What a node says about itself that matters to paths. */
export interface NodeFacts {
  /** May stand in the middle of a path. */
  readonly relay: boolean;
  /** Is leaving: stands in the middle of a path only where there is no other way. */
  readonly draining: boolean;
}

/** The largest cost of one link: eight of them stay below the weight of one draining relay (paths.ts). */
export const MAX_LINK_COST = 1_000_000;

const NO_LINKS: ReadonlyMap<string, number> = new Map();

/** An undirected graph of named nodes; a link has one integer cost in 1..{@link MAX_LINK_COST}, the worse of its two ends'. */
export class Graph {
  readonly #facts = new Map<string, NodeFacts>();
  readonly #links = new Map<string, Map<string, number>>();

  addNode(name: string, facts: NodeFacts): void {
    this.#facts.set(name, facts);
    if (!this.#links.has(name)) this.#links.set(name, new Map());
  }

  /** Both nodes must have been added, and differ; otherwise, or if the cost is out of range, nothing is added and false returned. */
  addLink(a: string, b: string, cost: number): boolean {
    const linksOfA = this.#links.get(a);
    const linksOfB = this.#links.get(b);
    if (linksOfA === undefined || linksOfB === undefined || a === b) return false;
    if (!Number.isSafeInteger(cost) || cost < 1 || cost > MAX_LINK_COST) return false;
    linksOfA.set(b, cost);
    linksOfB.set(a, cost);
    return true;
  }

  has(name: string): boolean {
    return this.#facts.has(name);
  }

  facts(name: string): NodeFacts | undefined {
    return this.#facts.get(name);
  }

  /** Cost by neighbour; empty for an unknown node. */
  links(name: string): ReadonlyMap<string, number> {
    return this.#links.get(name) ?? NO_LINKS;
  }

  /** Whether paths may run through this node. */
  transit(name: string): boolean {
    return this.#facts.get(name)?.relay ?? false;
  }

  draining(name: string): boolean {
    return this.#facts.get(name)?.draining ?? false;
  }

  /** All names, in the order they were added. */
  names(): readonly string[] {
    return [...this.#facts.keys()];
  }
}
