import { CodedError } from '#control/coded-error.ts';
import type { MeshDriver } from '#io/mesh-driver/mesh-driver.ts';
import { Drain } from '#mesh/node/drain.ts';
import type { MeshNode } from '#mesh/node/mesh-node.ts';

const POLL_MS = 50;
/** A day: what runs longer is not about to stop. */
export const LONGEST_GRACE_SECONDS = 86_400;

/** What the operator is told of a drain. */
export interface DrainStatus {
  readonly drain: 'draining' | null;
  /** Milliseconds; null when it does not drain. */
  readonly graceLeftMs: number | null;
  readonly circuits: number;
  readonly streams: number;
}

/** Takes a node out of service when its operator says so: transit moves away, what ends here gets time, then it is to be stopped. */
export class NodeDrain {
  readonly #node: MeshNode;
  readonly #driver: MeshDriver;
  readonly #localStreams: () => number;
  readonly #done = Promise.withResolvers<void>();
  #drain: Drain | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isDrained = false;

  /** `localStreams`: how many streams run between this node's edges and its own targets. */
  constructor(node: MeshNode, driver: MeshDriver, localStreams: () => number) {
    this.#node = node;
    this.#driver = driver;
    this.#localStreams = localStreams;
  }

  get state(): 'draining' | 'drained' | null {
    if (this.#isDrained) return 'drained';
    return this.#drain === undefined ? null : 'draining';
  }

  /** Fulfilled when nothing needs the node any more; it is the caller's to stop it. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Begins, or gives another grace time from now on. Throws GRACE_INVALID. */
  start(graceSeconds: unknown): DrainStatus {
    if (typeof graceSeconds !== 'number' || !(graceSeconds >= 0 && graceSeconds <= LONGEST_GRACE_SECONDS))
      throw new CodedError('GRACE_INVALID', `the grace time is 0 to ${LONGEST_GRACE_SECONDS} seconds`);
    const nowMs = performance.now();
    if (this.#drain === undefined) {
      this.#drain = new Drain(graceSeconds * 1_000, nowMs);
      this.#setDraining(true);
      this.#timer = setInterval(() => this.#step(), POLL_MS);
    } else this.#drain.renew(graceSeconds * 1_000, nowMs);
    return this.status();
  }

  /** Throws NODE_NOT_DRAINING, also when it is too late. */
  cancel(): DrainStatus {
    if (this.#drain === undefined) throw new CodedError('NODE_NOT_DRAINING', 'the node does not drain');
    if (this.#drain.isEnding) throw new CodedError('NODE_NOT_DRAINING', 'too late: the node stops now');
    this.close();
    this.#drain = undefined;
    this.#setDraining(false);
    return this.status();
  }

  status(): DrainStatus {
    const graceLeftMs = this.#drain === undefined ? null : Math.round(this.#drain.leftMs(performance.now()));
    return { drain: this.#drain === undefined ? null : 'draining', graceLeftMs, ...this.#load() };
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #load(): { readonly circuits: number; readonly streams: number } {
    return { circuits: this.#node.circuitCount, streams: this.#node.streams.list().length + this.#localStreams() };
  }

  #setDraining(isDraining: boolean): void {
    this.#node.setDraining(isDraining, performance.now());
    this.#driver.schedule();
  }

  #step(): void {
    const step = this.#drain?.decide(this.#load(), performance.now());
    if (step === 'end-streams') {
      this.#node.streams.conduits.endAll();
      this.#driver.schedule();
    } else if (step === 'stop') {
      this.close();
      this.#isDrained = true;
      this.#done.resolve();
    }
  }
}
