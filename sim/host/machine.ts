import type { FakeIdentity } from '#mesh/linkstate/fake-network.ts';
import type { TransportEnd } from '../network/transport.ts';
import type { MeshMember } from '../world/mesh-plan.ts';
import type { World } from '../world/world.ts';
import { NodeProcess } from './node-process.ts';

/** A machine with power, a clock and one node process at a time. */
export class Machine {
  readonly world: World;
  readonly member: MeshMember;
  readonly identity: FakeIdentity;
  /** By how much its clock differs from the others'. */
  skewMs: number;
  /** How much slower than calibrated its processor is. */
  slowness: number;
  process: NodeProcess | undefined;
  isOn = true;
  frozenSinceMs: number | undefined;
  offSinceMs: number | undefined;
  startCount = 0;
  #vanished: readonly TransportEnd[] = [];

  constructor(world: World, member: MeshMember) {
    this.world = world;
    this.member = member;
    this.identity = world.authority.issue(member.name);
    this.skewMs = member.skewMs ?? 0;
    this.slowness = member.slowness ?? 1;
  }

  get name(): string {
    return this.member.name;
  }

  get wallMs(): number {
    return this.world.wallMs + this.skewMs;
  }

  get isFrozen(): boolean {
    return this.frozenSinceMs !== undefined;
  }

  /** The process, if it runs now. */
  get running(): NodeProcess | undefined {
    return this.isOn && !this.isFrozen && this.process?.isDead === false ? this.process : undefined;
  }

  start(): void {
    if (this.process?.isDead === false) return;
    this.isOn = true;
    this.offSinceMs = undefined;
    this.startCount++;
    this.world.trace.note('start', this.name);
    for (const end of this.#vanished) this.world.timeline.after(200, () => end.other?.handleEnd());
    this.#vanished = [];
    this.process = new NodeProcess(
      this,
      Math.floor(this.wallMs),
      this.world.snapshotFor(this.name),
      this.world.traffic,
    );
  }

  /** Ends the process. With power its kernel tells the peers; without, nobody does. */
  stop(hasPower: boolean): void {
    const { process } = this;
    this.world.trace.note(hasPower ? 'kill' : 'power-off', this.name);
    if (process === undefined || process.isDead) return;
    this.frozenSinceMs = undefined;
    process.end();
    const ends = process.links.endAll(hasPower);
    this.world.traffic.handleProcessEnded(process);
    if (hasPower) return;
    this.isOn = false;
    this.offSinceMs = this.world.timeline.nowMs;
    this.#vanished = ends;
  }

  freeze(): void {
    this.frozenSinceMs ??= this.world.timeline.nowMs;
    this.world.trace.note('freeze', this.name);
  }

  thaw(): void {
    if (this.frozenSinceMs === undefined) return;
    this.frozenSinceMs = undefined;
    this.world.trace.note('thaw', this.name);
    this.process?.handleThawed();
  }
}
