import type { RecordBody } from '#mesh/linkstate/body.ts';
import type { RecordStore } from '#mesh/linkstate/store.ts';
import { Graph } from '#topology/graph.ts';

/** A link counts only if both its ends report it, at the worse of the two costs. Of itself a node knows better than its last record. */
export function graphOf(self: string, local: RecordBody, store: RecordStore): Graph {
  const bodies = new Map([[self, local]]);
  for (const { envelope, body } of store.all()) if (envelope.origin !== self) bodies.set(envelope.origin, body);
  const graph = new Graph();
  for (const [origin, { relay, draining }] of bodies) graph.addNode(origin, { relay, draining });
  for (const [origin, { neighbours }] of bodies) {
    for (const [name, cost] of neighbours) {
      const back = origin < name ? bodies.get(name)?.neighbours.get(origin) : undefined;
      if (back !== undefined) graph.addLink(origin, name, Math.max(cost, back));
    }
  }
  return graph;
}
