import type { SnapshotBody, SnapshotInstance } from '#trust/snapshot.ts';

/** Which services there are and where, from the believed snapshot only. */
export class ServiceDirectory {
  #instances = new Map<string, readonly SnapshotInstance[]>();

  handleSnapshot(body: SnapshotBody): void {
    this.#instances = new Map(body.services.map((service) => [service.name, service.instances]));
  }

  names(): readonly string[] {
    return [...this.#instances.keys()].toSorted();
  }

  has(service: string): boolean {
    return (this.#instances.get(service)?.length ?? 0) > 0;
  }

  /** The instance on a node, if it publishes the service. */
  instanceOn(service: string, node: string): SnapshotInstance | undefined {
    return this.#instances.get(service)?.find((instance) => instance.node === node);
  }

  /** Nodes of a service, nearest first; `cost` is undefined for those that cannot be reached, which are left out. */
  nearest(service: string, cost: (node: string) => number | undefined): readonly string[] {
    const reachable: { readonly node: string; readonly cost: number }[] = [];
    for (const { node } of this.#instances.get(service) ?? []) {
      const nodeCost = cost(node);
      if (nodeCost !== undefined) reachable.push({ node, cost: nodeCost });
    }
    reachable.sort((a, b) => a.cost - b.cost || (a.node < b.node ? -1 : 1));
    return reachable.map(({ node }) => node);
  }
}
