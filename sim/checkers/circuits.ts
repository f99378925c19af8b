import type { LocalStream, Stream, Tunnel } from '#mesh/node/tunnel.ts';
import { MAX_HOPS } from '#topology/paths.ts';
import type { NodeProcess } from '../host/node-process.ts';
import type { World } from '../world/world.ts';

/** A revocation has reached every node after this, and what it forbids has ended. */
const REVOCATION_MS = 1_500;

/** Where a circuit is followed to: a half of it on one link of one node. */
interface Place {
  readonly process: NodeProcess;
  readonly tunnel: Tunnel;
  readonly stream: Stream;
}

/** Follows every circuit from its opener through its relays as only a simulator can, and judges where it runs. */
export class CircuitChecker {
  readonly #world: World;
  circuitsSeen = 0;
  hopsSeen = 0;

  constructor(world: World) {
    this.#world = world;
  }

  check(): void {
    for (const process of this.#world.running()) {
      for (const circuit of process.circuits.streams()) if (circuit.direction === 'out') this.#follow(process, circuit);
      this.#checkPeers(process);
    }
  }

  #follow(opener: NodeProcess, circuit: LocalStream): void {
    if (circuit.tunnel === undefined || circuit.stream === undefined) return;
    this.circuitsSeen++;
    const visited = [opener.name];
    let place: Place | undefined = { process: opener, tunnel: circuit.tunnel, stream: circuit.stream };
    while (place !== undefined) {
      const next = otherEnd(this.#world, place);
      if (next === undefined) return;
      this.hopsSeen++;
      const { name } = next.process;
      if (visited.includes(name)) return this.#report('CIRCUIT_LOOPS', [...visited, name]);
      visited.push(name);
      if (visited.length - 1 > MAX_HOPS) return this.#report('CIRCUIT_TOO_LONG', visited);
      if (this.#isGone(name)) this.#report('CIRCUIT_THROUGH_STRANGER', visited);
      const { owner } = next.stream;
      if (owner?.kind !== 'relay') return this.#checkEnd(visited, circuit);
      if (!next.process.machine.member.relay) this.#report('CIRCUIT_THROUGH_LEAF', visited);
      place = { process: next.process, tunnel: owner.mateTunnel, stream: owner.mate };
    }
  }

  #checkEnd(visited: readonly string[], circuit: LocalStream): void {
    if (circuit.state === 'open' && visited.at(-1) !== circuit.peer && circuit.peer !== '')
      this.#report('CIRCUIT_MISLED', visited);
  }

  /** Nobody keeps a tunnel to a node that was revoked. */
  #checkPeers(process: NodeProcess): void {
    for (const { peer, state } of process.node.tunnels())
      if (state !== 'closed' && this.#isGone(peer.name)) this.#report('TUNNEL_TO_STRANGER', [process.name, peer.name]);
  }

  #isGone(name: string): boolean {
    const sinceMs = this.#world.revoked.get(name);
    return sinceMs !== undefined && this.#world.nowMs - sinceMs > REVOCATION_MS && this.#isHealthy();
  }

  /** A frozen or very slow node has not read its snapshot yet. */
  #isHealthy(): boolean {
    return [...this.#world.machines.values()].every(({ isFrozen, slowness }) => !isFrozen && slowness < 25);
  }

  #report(code: string, names: readonly string[]): void {
    this.#world.report(code, names.join(' → '), names);
  }
}

function otherEnd(world: World, { process, tunnel, stream }: Place): Place | undefined {
  const end = process.links.endOf(tunnel);
  const other = world.machine(tunnel.peer.name).running;
  if (end === undefined || other === undefined) return undefined;
  for (const far of other.links.tunnels()) {
    if (other.links.endOf(far) !== end.other) continue;
    for (const each of far.mux.streams())
      if (each.id === stream.id) return { process: other, tunnel: far, stream: each };
  }
  return undefined;
}
