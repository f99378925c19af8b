import { hash } from 'node:crypto';
import { SeededRandom } from '#kernel/random.ts';
import { FakeAuthority } from '#mesh/linkstate/fake-network.ts';
import { DEFAULT_TRUST_DOMAIN, nodeSpiffeId, type PeerIdentity } from '#trust/identity.ts';
import type { Revocation } from '#trust/revocation.ts';
import type { SnapshotBody } from '#trust/snapshot.ts';
import { Traffic } from '../applications/traffic.ts';
import { Machine } from '../host/machine.ts';
import type { NodeProcess } from '../host/node-process.ts';
import { Network, type WireFacts } from '../network/network.ts';
import { Timeline } from '../network/timeline.ts';
import { Trace } from '../trace/trace.ts';
import { type MeshPlan, snapshotOf } from './mesh-plan.ts';

const START_WALL_MS = 1_800_000_000_000;

/** What a checker found wrong. `names`: the nodes that matter, the victim's ends first. */
export interface Violation {
  readonly code: string;
  readonly detail: string;
  readonly names: readonly string[];
  readonly atMs: number;
}

interface WorldOptions {
  readonly seed: number;
  readonly plan: MeshPlan;
  readonly isRecording?: boolean;
}

/** A whole mesh: machines, wires, clocks and applications, all from one seed. */
export class World {
  readonly timeline = new Timeline();
  readonly random: SeededRandom;
  readonly network: Network;
  readonly trace: Trace;
  readonly authority = new FakeAuthority((bytes) => new Uint8Array(hash('sha256', bytes, 'buffer')));
  readonly machines = new Map<string, Machine>();
  readonly plan: MeshPlan;
  readonly traffic: Traffic;
  readonly violations: Violation[] = [];
  readonly revoked = new Map<string, number>();
  #revocations: readonly Revocation[] = [];
  #snapshot: SnapshotBody;

  constructor({ seed, plan, isRecording = false }: WorldOptions) {
    this.random = new SeededRandom(seed);
    this.plan = plan;
    this.trace = new Trace(isRecording, () => this.timeline.nowMs);
    this.network = new Network(() => this.#wireFacts());
    this.traffic = new Traffic(this);
    for (const member of plan.members) this.machines.set(member.name, new Machine(this, member));
    this.#snapshot = snapshotOf(plan, []);
  }

  get nowMs(): number {
    return this.timeline.nowMs;
  }

  get wallMs(): number {
    return START_WALL_MS + this.timeline.nowMs;
  }

  machine(name: string): Machine {
    const machine = this.machines.get(name);
    if (machine === undefined) throw new Error(`no machine ${name}`);
    return machine;
  }

  /** Addresses are names here. */
  machineAt(address: string): Machine | undefined {
    return this.machines.get(address);
  }

  /** Every node that runs and was not revoked. */
  running(): readonly NodeProcess[] {
    return [...this.machines.values()]
      .filter(({ name }) => !this.revoked.has(name))
      .map(({ running }) => running)
      .filter((process) => process !== undefined);
  }

  /** Starts every node, each a little later than the one before. */
  start(spreadMs: number): void {
    for (const machine of this.machines.values())
      this.timeline.after(this.random.fraction() * spreadMs, () => machine.start());
  }

  run(durationMs: number): void {
    this.timeline.runUntil(this.nowMs + durationMs);
  }

  snapshotFor(_name: string): SnapshotBody {
    return this.#snapshot;
  }

  /** Every node but the revoked one gets to know of it. */
  revoke(name: string): void {
    this.#revocations = [
      ...this.#revocations,
      { spiffeId: nodeSpiffeId(DEFAULT_TRUST_DOMAIN, name), serial: '1', epoch: this.#revocations.length + 1 },
    ];
    this.#snapshot = snapshotOf(this.plan, this.#revocations);
    this.authority.revoked.add(this.machine(name).identity.hash.toHex());
    this.revoked.set(name, this.nowMs);
    this.trace.note('revoke', name);
    this.traffic.handleEndGone(name);
    for (const machine of this.machines.values()) {
      const { process } = machine;
      if (machine.name === name || process === undefined) continue;
      const snapshot = this.#snapshot;
      process.enqueue(1, () => process.node.handleSnapshot(snapshot, this.nowMs, false));
    }
  }

  isIssued(name: string): boolean {
    return this.machines.has(name);
  }

  identityOf(name: string): PeerIdentity {
    return {
      spiffeId: nodeSpiffeId(DEFAULT_TRUST_DOMAIN, name),
      name,
      role: 'node',
      serial: '1',
      certificateHash: name,
      notBeforeMs: 0,
      notAfterMs: Number.MAX_SAFE_INTEGER,
      publicKeyAlgorithm: 'ml-dsa-65',
    };
  }

  report(code: string, detail: string, names: readonly string[] = []): void {
    this.violations.push({ code, detail, names, atMs: this.nowMs });
    this.trace.note('VIOLATION', names[0] ?? '', '', code);
  }

  #wireFacts(): WireFacts {
    const luck = this.random.fraction();
    const delayMs =
      luck < 0.6 ? 0.1 + this.random.fraction() : luck < 0.9 ? 5 * this.random.fraction() : 40 * this.random.fraction();
    const jitterMs = delayMs * 0.2 * this.random.fraction();
    return {
      delayMs,
      jitterMs,
      bytesPerMs: 12_500 + (this.random.word() % 100_000),
      lossShare: luck > 0.97 ? 0.01 : 0,
    };
  }
}
