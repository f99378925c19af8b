import type { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import type { Reason } from '#mesh/mux/frame.ts';

/** Why a stream may not be: `POLICY_DENIED` with the id of the decision (32 hexadecimal digits), or `SNAPSHOT_STALE`. */
export type Denial = Pick<Reason, 'code' | 'decision'>;

/** Who may open a stream to which service. */
export interface StreamPolicy {
  /** Undefined: it is allowed. */
  denialOf(caller: string, service: string): Denial | undefined;
  /** Another one than before means that answers may be others than before. */
  epoch(wallMs: number): string;
  /** Begins a slice of decisions; the answer says whether its time is used up, and what is left waits for the next turn. */
  startSlice(): () => boolean;
}

/** Allows everything: for machines without a control plane, as those of the simulator. */
export const ALLOW_ALL_STREAMS: StreamPolicy = {
  denialOf: () => undefined,
  epoch: () => '',
  startSlice: () => () => false,
};

/** Decisions between two looks at the transports where they take no time: what ends is also told. */
const DECISIONS_A_TURN = 1_024;

export interface PolicySweepPorts {
  readonly self: string;
  readonly policy: StreamPolicy;
  /** Streams that have not ended. */
  open(): readonly ConduitHandle[];
  /** It may not go on. */
  end(local: ConduitHandle, reason: Reason): void;
}

/** Asks the policy about streams: about a new one at once, and about all that are open after a change, a few at a time. */
export class PolicySweep {
  readonly #ports: PolicySweepPorts;
  #epoch = '';
  #pending: ConduitHandle[] = [];

  constructor(ports: PolicySweepPorts) {
    this.#ports = ports;
  }

  /** Undefined: it is allowed. */
  refusalOf(caller: string, service: string): Reason | undefined {
    const denial = this.#ports.policy.denialOf(caller, service);
    return denial === undefined ? undefined : { ...denial, hop: this.#ports.self };
  }

  get isPending(): boolean {
    return this.#pending.length > 0;
  }

  /** Looks whether answers may have changed; then all open streams are to be decided again. */
  check(wallMs: number): void {
    const epoch = this.#ports.policy.epoch(wallMs);
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.#pending = [...this.#ports.open()];
  }

  /** Decides some of those that wait, one at least. */
  handleTurn(): void {
    if (!this.isPending) return;
    const isUsedUp = this.#ports.policy.startSlice();
    for (let count = 0; count < DECISIONS_A_TURN; count++) {
      const local = this.#pending.pop();
      if (local === undefined) return;
      this.#decide(local);
      if (isUsedUp()) return;
    }
  }

  #decide(local: ConduitHandle): void {
    if (local.state === 'closed') return;
    const caller = local.direction === 'out' ? this.#ports.self : local.peer;
    const reason = this.refusalOf(caller, local.service);
    if (reason !== undefined) this.#ports.end(local, reason);
  }
}
