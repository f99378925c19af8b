import { decode, encode } from '@msgpack/msgpack';
import { isOneMessage } from '#kernel/msgpack-shape.ts';
import { isServiceName } from '#trust/identity.ts';
import type { SnapshotBody, SnapshotInstance } from '#trust/snapshot.ts';

const STREAM_VERSION = 1;
/** A version and a name; later versions may nest deeper. */
const MAX_DEPTH = 8;

/** The body of a service stream's OPEN. */
export function encodeStreamOpen(service: string): Uint8Array {
  return encode([STREAM_VERSION, service]);
}

/** The service's name, or undefined for anything that is not such a body. Never throws. */
export function decodeStreamOpen(body: Uint8Array): string | undefined {
  if (!isOneMessage(body, MAX_DEPTH)) return undefined;
  try {
    const value = decode(body, {
      maxStrLength: 64,
      maxArrayLength: 16,
      maxMapLength: 0,
      maxBinLength: 0,
      maxExtLength: 0,
    });
    if (!Array.isArray(value) || value[0] !== STREAM_VERSION) return undefined;
    const service: unknown = value[1];
    return typeof service === 'string' && isServiceName(service) ? service : undefined;
  } catch {
    return undefined;
  }
}

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
