import type { SnapshotPosture } from '#trust/snapshot.ts';
import type { PresenceBoard } from '#control/presence.ts';

/** Remembers how nodes were, so that a control plane that starts does not take for unknown what it knew. */
export interface PostureStore {
  listPostures(): Promise<ReadonlyMap<string, SnapshotPosture>>;
  /** Adds or replaces. */
  putPosture(node: string, posture: SnapshotPosture): Promise<void>;
}

export interface PosturesPorts {
  readonly store: PostureStore;
  /** Monotonic. */
  readonly nowMs: () => number;
  readonly wallMs: () => number;
  /** No other control plane hears of nodes. */
  readonly isAlone: boolean;
}

/** Nodes come back to a control plane that was started anew in seconds; until then the last word about them counts. */
const GRACE_MS = 30_000;

/** How each node is, judged from its session and from what it says of itself. */
export class Postures {
  readonly #ports: PosturesPorts;
  readonly #startedMs: number;
  /** Nodes that had a session here when they were last judged. */
  readonly #heard = new Set<string>();

  constructor(ports: PosturesPorts) {
    this.#ports = ports;
    this.#startedMs = ports.nowMs();
  }

  /** Of those of `names` that were ever heard. */
  async judge(names: readonly string[], board: PresenceBoard): Promise<ReadonlyMap<string, SnapshotPosture>> {
    const known = await this.#ports.store.listPostures();
    const judged = new Map<string, SnapshotPosture>();
    for (const name of names) {
      const before = known.get(name);
      const posture = this.#judge(name, before, board);
      if (posture === undefined) continue;
      judged.set(name, posture);
      if (before !== undefined && areSame(before, posture)) continue;
      await this.#ports.store.putPosture(name, posture);
    }
    return judged;
  }

  #judge(name: string, before: SnapshotPosture | undefined, board: PresenceBoard): SnapshotPosture | undefined {
    const nowMs = this.#ports.nowMs();
    const heardMs = board.heardMs(name);
    const report = board.report(name);
    if (heardMs === undefined || report === undefined) return this.#judgeUnheard(before, nowMs);
    const { version = 'unknown', os = 'unknown' } = report;
    if (board.state(name, nowMs) === 'up') {
      this.#heard.add(name);
      return { version, os, health: board.drain(name, nowMs) === null ? 'up' : 'draining', seenAtMs: 0 };
    }
    // Said once: another replica may have heard of it since.
    if (!this.#heard.delete(name)) return before;
    return { version, os, health: 'down', seenAtMs: this.#wallAt(heardMs) };
  }

  #judgeUnheard(before: SnapshotPosture | undefined, nowMs: number): SnapshotPosture | undefined {
    const isAwaited = !this.#ports.isAlone || nowMs - this.#startedMs <= GRACE_MS;
    if (before === undefined || isAwaited || before.health === 'down') return before;
    return { ...before, health: 'down', seenAtMs: this.#wallAt(nowMs) };
  }

  #wallAt(atMs: number): number {
    return Math.floor(this.#ports.wallMs() - (this.#ports.nowMs() - atMs));
  }
}

function areSame(left: SnapshotPosture, right: SnapshotPosture): boolean {
  const isSameProgram = left.version === right.version && left.os === right.os;
  return isSameProgram && left.health === right.health && left.seenAtMs === right.seenAtMs;
}
