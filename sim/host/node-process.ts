import { SeededRandom } from '#kernel/random.ts';
import { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import { MeshNode } from '#mesh/node/mesh-node.ts';
import type { NodeOutput } from '#mesh/node/output.ts';
import { ALLOW_ALL_STREAMS } from '#mesh/node/stream-policy.ts';
import type { LocalStream, Tunnel } from '#mesh/node/tunnel.ts';
import type { SnapshotBody } from '#trust/snapshot.ts';
import { Circuits } from './circuits.ts';
import { CALIBRATED_COST } from './cost.ts';
import { Links } from './links.ts';
import type { Machine } from './machine.ts';

/** Outputs of a node in one turn: a machine that never rests is a failure and not a hang. */
const MAX_ROUNDS = 500_000;

/** What happens to the streams of services at this node. */
export interface StreamHandler {
  handle(process: NodeProcess, output: NodeOutput & { readonly stream: LocalStream }): void;
}

/**
 * One process of a node and the loop that drives it: what happens to it waits in its mailbox while it is busy or frozen, and
 * what came together is handled together, as by the real driver.
 */
export class NodeProcess {
  readonly machine: Machine;
  readonly node: MeshNode;
  readonly links: Links;
  readonly circuits: Circuits;
  readonly incarnation: number;
  readonly startedMs: number;
  readonly alarms: string[] = [];
  readonly #streams: StreamHandler;
  #mailbox: (() => void)[] = [];
  #isScheduled = false;
  #busyUntilMs = 0;
  #armedMs = Number.POSITIVE_INFINITY;
  isDead = false;

  constructor(machine: Machine, incarnation: number, snapshot: SnapshotBody, streams: StreamHandler) {
    const { world } = machine;
    const { nowMs } = world.timeline;
    this.machine = machine;
    this.incarnation = incarnation;
    this.startedMs = nowMs;
    this.#streams = streams;
    this.#busyUntilMs = nowMs;
    const linkState = world.authority.ports(() => machine.identity);
    const gossip = { isSigned: () => false };
    const ports = { random: new SeededRandom(world.random.word()), linkState, gossip, policy: ALLOW_ALL_STREAMS };
    const options = { name: machine.name, incarnation, relay: machine.member.relay };
    this.node = new MeshNode(ports, options, nowMs, machine.wallMs);
    this.links = new Links(this);
    this.circuits = new Circuits(this);
    this.enqueue(1, () => this.node.handleSnapshot(snapshot, world.timeline.nowMs));
  }

  get name(): string {
    return this.machine.name;
  }

  get nowMs(): number {
    return this.machine.world.timeline.nowMs;
  }

  /** Something for the node to do, as soon as it can, that keeps it busy for `costMs`. */
  enqueue(costMs: number, act: () => void): void {
    if (this.isDead) return;
    this.#mailbox.push(() => {
      this.#busyUntilMs += costMs * this.machine.slowness;
      act();
    });
    this.#schedule(this.nowMs);
  }

  enqueueBytes(bytes: number, act: () => void): void {
    this.enqueue(CALIBRATED_COST.eventMs + (bytes / 1024) * CALIBRATED_COST.kibibyteMs, act);
  }

  /** The process was frozen and runs again. */
  handleThawed(): void {
    this.#schedule(this.nowMs);
  }

  /** An application did something with the node outside of its turn. */
  touch(): void {
    this.#schedule(this.nowMs);
  }

  /** The process is gone at once. */
  end(): void {
    this.isDead = true;
    this.#mailbox = [];
  }

  flush(tunnel: Tunnel): void {
    if (tunnel.via === 'tcp') this.links.flush(tunnel);
    else this.circuits.flush(tunnel);
  }

  #schedule(atMs: number): void {
    if (this.#isScheduled || this.isDead) return;
    this.#isScheduled = true;
    this.machine.world.timeline.at(Math.max(atMs, this.#busyUntilMs), () => {
      this.#isScheduled = false;
      this.#run();
    });
  }

  #run(): void {
    if (this.isDead || this.machine.isFrozen) return;
    const { nowMs } = this;
    if (nowMs < this.#busyUntilMs) return this.#schedule(this.#busyUntilMs);
    this.#busyUntilMs = nowMs + CALIBRATED_COST.eventMs * this.machine.slowness;
    const letters = this.#mailbox;
    this.#mailbox = [];
    for (const act of letters) act();
    if (this.node.deadlineMs() <= nowMs) this.node.handleDeadline(nowMs, this.machine.wallMs);
    this.#settle();
    this.#arm();
  }

  #settle(): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const output = this.node.poll();
      if (output !== undefined) {
        this.#carryOut(output);
        continue;
      }
      const tunnel = this.node.pollDirty();
      if (tunnel === undefined) return;
      this.flush(tunnel);
    }
    throw new Error(`${this.name} never rests`);
  }

  #arm(): void {
    const deadlineMs = this.node.deadlineMs();
    if (this.#armedMs <= deadlineMs && this.#armedMs > this.nowMs) return;
    this.#armedMs = Math.max(deadlineMs, this.nowMs + 0.01);
    const armedMs = this.#armedMs;
    this.machine.world.timeline.at(armedMs, () => {
      if (this.#armedMs === armedMs) this.#armedMs = Number.POSITIVE_INFINITY;
      this.#schedule(armedMs);
    });
  }

  #carryOut(output: NodeOutput): void {
    switch (output.kind) {
      case 'dial':
        return this.links.dial(output.peer, output.address);
      case 'cancel-dial':
        return this.links.cancelDial(output.peer);
      case 'close-tunnel':
        this.machine.world.trace.note('tunnel-closed', this.name, output.tunnel.peer.name, output.reason.code);
        return output.tunnel.via === 'tcp'
          ? this.links.close(output.tunnel)
          : this.circuits.handleCloseTunnel(output.tunnel);
      case 'secure':
        return this.circuits.secure(output.stream, output.role, output.peer);
      case 'alarm':
        this.alarms.push(output.code);
        return this.machine.world.trace.note('alarm', this.name, '', output.code);
      case 'pong':
      case 'ping-failed':
      case 'snapshot-offered':
        return;
      default:
        return output.stream instanceof ConduitHandle
          ? this.#streams.handle(this, output)
          : this.circuits.handle(output);
    }
  }
}
