import type { SnapshotPosture } from '#trust/snapshot.ts';
import type { PresenceBoard } from '#control/presence.ts';

/** How a node was, and which replica said so. */
export interface HeldPosture {
  readonly posture: SnapshotPosture;
  /** Who has, or had, the node's session. */
  readonly holder: string;
}

/** Remembers how nodes are: what every replica says of them, and what is known after a start. */
export interface PostureStore {
  listPostures(): Promise<ReadonlyMap<string, HeldPosture>>;
  /** Adds or replaces, whoever held it. */
  putPosture(node: string, held: HeldPosture): Promise<void>;
  /** Replaces what `holder` said; false, and nothing stored, when another said something since. */
  changePosture(node: string, held: HeldPosture): Promise<boolean>;
}

/** The control planes that share a store. */
export interface ReplicaView {
  /** Of this one; unlike that of any other process that ever was. */
  readonly id: string;
  /** Those that live now; undefined where no other can share the store. */
  readonly live: () => ReadonlySet<string> | undefined;
}

export interface PosturesPorts {
  readonly store: PostureStore;
  readonly replica: ReplicaView;
  /** Monotonic. */
  readonly nowMs: () => number;
  readonly wallMs: () => number;
}

/** Nodes come back to a control plane that was started anew, or to another, in seconds; until then the last word counts. */
const GRACE_MS = 30_000;

/** How each node is. Only the replica that has a node's session says so; all others read it. */
export class Postures {
  readonly #ports: PosturesPorts;
  readonly #startedMs: number;
  /** The session by which this replica took the word about a node. */
  readonly #taken = new Map<string, number>();
  /** Since when replicas are gone. */
  readonly #goneMs = new Map<string, number>();

  constructor(ports: PosturesPorts) {
    this.#ports = ports;
    this.#startedMs = ports.nowMs();
  }

  /** Of those of `names` that were ever heard. */
  async judge(names: readonly string[], board: PresenceBoard): Promise<ReadonlyMap<string, SnapshotPosture>> {
    const known = await this.#ports.store.listPostures();
    this.#noteGone(new Set([...known.values()].map(({ holder }) => holder)));
    const judged = new Map<string, SnapshotPosture>();
    for (const name of names) {
      const posture = await this.#judge(name, known.get(name), board);
      if (posture !== undefined) judged.set(name, posture);
    }
    return judged;
  }

  async #judge(
    name: string,
    before: HeldPosture | undefined,
    board: PresenceBoard,
  ): Promise<SnapshotPosture | undefined> {
    const nowMs = this.#ports.nowMs();
    const report = board.report(name);
    const sessionId = board.sessionId(name);
    const { version = 'unknown', os = 'unknown' } = report ?? {};
    if (report !== undefined && sessionId !== undefined && board.state(name, nowMs) === 'up') {
      const health = board.drain(name, nowMs) === null ? 'up' : 'draining';
      return await this.#say(name, before, sessionId, { version, os, health, seenAtMs: 0 });
    }
    if (before === undefined) return undefined;
    const heardMs = board.heardMs(name);
    const isOwn = this.#taken.delete(name) && before.holder === this.#ports.replica.id;
    if (isOwn && heardMs !== undefined)
      return await this.#change(name, before, { ...before.posture, health: 'down', seenAtMs: this.#wallAt(heardMs) });
    if (before.posture.health === 'down' || !this.#isLost(before.holder)) return before.posture;
    return await this.#change(name, before, { ...before.posture, health: 'down', seenAtMs: this.#wallAt(nowMs) });
  }

  /** A new session takes the word; after that it is this replica's until another one has a newer session. */
  async #say(
    name: string,
    before: HeldPosture | undefined,
    sessionId: number,
    posture: SnapshotPosture,
  ): Promise<SnapshotPosture> {
    const holder = this.#ports.replica.id;
    if (this.#taken.get(name) === sessionId && before !== undefined)
      return before.holder === holder ? await this.#change(name, before, posture) : before.posture;
    await this.#ports.store.putPosture(name, { posture, holder });
    this.#taken.set(name, sessionId);
    return posture;
  }

  /** What another replica said meanwhile stands, and is read the next time. */
  async #change(name: string, { posture, holder }: HeldPosture, next: SnapshotPosture): Promise<SnapshotPosture> {
    if (areSame(posture, next)) return posture;
    return (await this.#ports.store.changePosture(name, { posture: next, holder })) ? next : posture;
  }

  #noteGone(holders: ReadonlySet<string>): void {
    const { replica, nowMs } = this.#ports;
    const live = replica.live() ?? new Set([replica.id]);
    for (const holder of this.#goneMs.keys()) if (live.has(holder) || !holders.has(holder)) this.#goneMs.delete(holder);
    for (const holder of holders) if (!live.has(holder) && !this.#goneMs.has(holder)) this.#goneMs.set(holder, nowMs());
  }

  /** Whoever spoke for the node is gone, and no other has it since. */
  #isLost(holder: string): boolean {
    const goneMs = holder === this.#ports.replica.id ? this.#startedMs : this.#goneMs.get(holder);
    return goneMs !== undefined && this.#ports.nowMs() - goneMs > GRACE_MS;
  }

  #wallAt(atMs: number): number {
    return Math.floor(this.#ports.wallMs() - (this.#ports.nowMs() - atMs));
  }
}

function areSame(left: SnapshotPosture, right: SnapshotPosture): boolean {
  const isSameProgram = left.version === right.version && left.os === right.os;
  return isSameProgram && left.health === right.health && left.seenAtMs === right.seenAtMs;
}
