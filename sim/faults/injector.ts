import { SeededRandom } from '#kernel/random.ts';
import type { Disturbance } from '../network/network.ts';
import type { World } from '../world/world.ts';
import type { Fault, FaultKind } from './fault.ts';
import { Forger } from './forger.ts';
import { ModelledDetector } from './modelled-detector.ts';
import { LIES, LyingRelay } from './tamper.ts';

/** A process that was killed is started again by its supervisor no sooner than this. */
const LEAST_RESTART_MS = 100;

/** While one of these lasts, news may take any time. */
const SLOWS_NEWS: ReadonlySet<FaultKind> = new Set(['clog', 'slow-link', 'lossy-link', 'busy', 'forge', 'revoke']);

/** Carries out a schedule of faults on a world, and heals them. */
export class Injector {
  readonly detector: ModelledDetector;
  readonly counts = new Map<FaultKind, number>();
  readonly liars = new Set<string>();
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #lyingRelays: LyingRelay[] = [];
  readonly #forgers: Forger[] = [];
  healedMs = 0;
  #slowing = 0;
  #slowedMs = 0;

  constructor(world: World) {
    this.#world = world;
    this.#random = new SeededRandom(world.random.word());
    this.detector = new ModelledDetector(world, this.#random);
  }

  /** Changes that lying relays made and messages that forgers sent. */
  get liesTold(): number {
    const told = this.#lyingRelays.reduce((sum, relay) => sum + relay.liesTold, 0);
    return this.#forgers.reduce((sum, forger) => sum + forger.messagesForged, told);
  }

  /** Since when news travel as fast as they can; infinite while they do not. */
  get promptSinceMs(): number {
    return this.#slowing > 0 ? Number.POSITIVE_INFINITY : this.#slowedMs;
  }

  schedule(faults: readonly Fault[]): void {
    for (const fault of faults) {
      this.#world.timeline.at(fault.atMs, () => this.#begin(fault));
      this.healedMs = Math.max(this.healedMs, fault.atMs + fault.durationMs);
    }
  }

  #begin(fault: Fault): void {
    const { kind, nodes, durationMs } = fault;
    const heal = this.#inject(fault);
    if (heal === undefined) return;
    this.#world.trace.note('fault', nodes[0] ?? '', nodes.length === 2 ? (nodes[1] ?? '') : '', kind);
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    const slowing = SLOWS_NEWS.has(kind) ? 1 : 0;
    this.#slowing += slowing;
    this.#world.timeline.after(durationMs, () => {
      this.#slowing -= slowing;
      if (slowing > 0) this.#slowedMs = this.#world.nowMs;
      this.#world.trace.note('heal', nodes[0] ?? '', nodes.length === 2 ? (nodes[1] ?? '') : '', kind);
      heal();
    });
  }

  /** What ends the fault; undefined when there was nothing to disturb. */
  #inject(fault: Fault): (() => void) | undefined {
    const [a = '', b = ''] = fault.nodes;
    const { amount } = fault;
    switch (fault.kind) {
      case 'kill':
      case 'power-off':
        return this.#stop(a, fault.kind === 'kill');
      case 'freeze':
        return this.#freeze(a);
      case 'blackhole':
        return this.#disturb(
          [
            [a, b],
            [b, a],
          ],
          { isBlocked: true },
        );
      case 'one-way':
        return this.#disturb([[a, b]], { isBlocked: true });
      case 'partition':
        return this.#partition(new Set(fault.nodes));
      case 'clog':
        return this.#disturb(
          [
            [a, b],
            [b, a],
          ],
          { bandwidthShare: amount },
        );
      case 'slow-link':
        return this.#disturb(
          [
            [a, b],
            [b, a],
          ],
          { extraDelayMs: amount },
        );
      case 'lossy-link':
        return this.#disturb(
          [
            [a, b],
            [b, a],
          ],
          { lossShare: amount },
        );
      default:
        return this.#injectAtNode(fault);
    }
  }

  #injectAtNode({ kind, nodes, amount }: Fault): (() => void) | undefined {
    const [a = '', b = ''] = nodes;
    switch (kind) {
      case 'link-reset':
        this.#world.machine(a).running?.links.lose(b, 'TRANSPORT_CLOSED');
        return () => undefined;
      case 'busy':
        return this.#slowDown(a, amount);
      case 'clock-jump':
        return this.#jump(a, amount);
      case 'tamper':
        return this.#lie(a, amount);
      case 'forge':
        return this.#forge(a);
      case 'revoke':
        this.#world.revoke(a);
        return () => undefined;
      default:
        return undefined;
    }
  }

  #stop(name: string, hasPower: boolean): (() => void) | undefined {
    const machine = this.#world.machine(name);
    if (machine.process === undefined || machine.process.isDead) return undefined;
    machine.stop(hasPower);
    if (!hasPower) this.#suspectAll(name);
    return () => this.#world.timeline.after(LEAST_RESTART_MS, () => machine.start());
  }

  #freeze(name: string): (() => void) | undefined {
    const machine = this.#world.machine(name);
    if (machine.running === undefined) return undefined;
    machine.freeze();
    this.#suspectAll(name);
    return () => machine.thaw();
  }

  #disturb(ways: readonly (readonly [string, string])[], disturbance: Disturbance): () => void {
    for (const [from, to] of ways) {
      this.#world.network.direction(from, to).add(disturbance, this.#world.nowMs);
      if (disturbance.isBlocked === true) this.detector.suspect(from, to);
    }
    return () => {
      for (const [from, to] of ways) this.#world.network.direction(from, to).remove(disturbance, this.#world.nowMs);
    };
  }

  #partition(side: ReadonlySet<string>): () => void {
    const others = [...this.#world.machines.keys()].filter((name) => !side.has(name));
    const ways = [...side].flatMap((a) =>
      others.flatMap(
        (b) =>
          [
            [a, b],
            [b, a],
          ] as const,
      ),
    );
    return this.#disturb(ways, { isBlocked: true });
  }

  #slowDown(name: string, amount: number): () => void {
    const machine = this.#world.machine(name);
    machine.slowness *= amount;
    return () => {
      machine.slowness /= amount;
    };
  }

  #jump(name: string, amount: number): () => void {
    const machine = this.#world.machine(name);
    const before = machine.skewMs;
    machine.skewMs = Math.round(amount);
    return () => {
      machine.skewMs = before;
    };
  }

  #lie(name: string, amount: number): (() => void) | undefined {
    const links = this.#world.machine(name).running?.links;
    if (links === undefined) return undefined;
    this.liars.add(name);
    let relay = this.#lyingRelays.find((each) => each === links.tamper);
    if (relay === undefined) {
      relay = new LyingRelay(this.#random);
      this.#lyingRelays.push(relay);
    }
    links.tamper = relay;
    relay.lie = LIES[amount];
    const liar = relay;
    return () => {
      liar.lie = undefined;
    };
  }

  #forge(name: string): () => void {
    this.liars.add(name);
    const forger = new Forger(this.#world.machine(name), this.#random);
    this.#forgers.push(forger);
    forger.begin();
    return () => {
      forger.isActive = false;
    };
  }

  #suspectAll(name: string): void {
    for (const peer of this.#world.machines.keys()) if (peer !== name) this.detector.suspect(name, peer);
  }
}
