import type { PacketFilter } from '../harness/namespaces.ts';
import type { ChaosMesh } from './chaos-mesh.ts';

export const FAULT_KINDS = ['kill', 'freeze', 'blackhole', 'partition', 'one-way', 'loss', 'slow'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** Those that need no namespaces. */
export const PROCESS_FAULTS: readonly FaultKind[] = ['kill', 'freeze'];
/** Those after which a stream has to find another way; the others may only slow it down. */
export const CUTTING_FAULTS: readonly FaultKind[] = ['kill', 'freeze', 'blackhole', 'partition', 'one-way'];

/** One fault: at a relay, or between it and a neighbour. */
export interface Fault {
  readonly kind: FaultKind;
  readonly relay: string;
  readonly neighbour: string;
}

/** Brings a fault about and returns how to undo it. */
export function injectFault(mesh: ChaosMesh, { kind, relay, neighbour }: Fault): () => Promise<void> {
  if (kind === 'kill' || kind === 'freeze') return stopProcess(mesh, kind, relay);
  if (kind === 'slow') {
    mesh.shape(relay, ['tbf', 'rate', '40mbit', 'burst', '64kbit', 'latency', '100ms']);
    return async () => mesh.unshape(relay);
  }
  mesh.filter(relay, dropsOf(kind, mesh.address(neighbour)));
  return async () => mesh.unfilter(relay);
}

function stopProcess(mesh: ChaosMesh, kind: 'kill' | 'freeze', relay: string): () => Promise<void> {
  mesh.signal(relay, kind === 'kill' ? 'SIGKILL' : 'SIGSTOP');
  return async () => (kind === 'kill' ? mesh.restart(relay) : mesh.signal(relay, 'SIGCONT'));
}

/** What the relay's packet filter drops. */
function dropsOf(kind: 'blackhole' | 'partition' | 'one-way' | 'loss', neighbour: string): PacketFilter {
  const drops = {
    blackhole: { input: '', output: '' },
    partition: { input: `ip saddr ${neighbour}`, output: `ip daddr ${neighbour}` },
    'one-way': { input: `ip saddr ${neighbour}` },
    loss: { input: 'numgen random mod 100 < 3' },
  };
  return drops[kind];
}
