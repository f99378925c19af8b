import { present } from '#kernel/assert.ts';

/** What a fault does to one direction between two machines. */
export interface Disturbance {
  readonly isBlocked?: boolean;
  readonly extraDelayMs?: number;
  /** Of the bandwidth, what is left. */
  readonly bandwidthShare?: number;
  readonly lossShare?: number;
}

/** How bytes travel one way between two machines when nothing is wrong. */
export interface WireFacts {
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly bytesPerMs: number;
  /** Of segments, how many need to be sent again. */
  readonly lossShare: number;
}

/** Is told that the conditions of a direction are different now. */
export interface DirectionUser {
  handleConditions(): void;
}

/** One way between two machines: its facts and what faults make of them. */
export class Direction {
  readonly from: string;
  readonly to: string;
  readonly users = new Set<DirectionUser>();
  readonly #facts: WireFacts;
  readonly #disturbances = new Set<Disturbance>();
  /** Since when nothing passes. */
  blockedSinceMs: number | undefined;
  delayMs: number;
  bytesPerMs: number;
  lossShare: number;

  constructor(from: string, to: string, facts: WireFacts) {
    this.from = from;
    this.to = to;
    this.#facts = facts;
    this.delayMs = facts.delayMs;
    this.bytesPerMs = facts.bytesPerMs;
    this.lossShare = facts.lossShare;
  }

  get isBlocked(): boolean {
    return this.blockedSinceMs !== undefined;
  }

  get jitterMs(): number {
    return this.#facts.jitterMs;
  }

  add(disturbance: Disturbance, nowMs: number): void {
    this.#disturbances.add(disturbance);
    this.#apply(nowMs);
  }

  remove(disturbance: Disturbance, nowMs: number): void {
    this.#disturbances.delete(disturbance);
    this.#apply(nowMs);
  }

  #apply(nowMs: number): void {
    const all = [...this.#disturbances];
    const isBlocked = all.some((each) => each.isBlocked === true);
    this.blockedSinceMs = isBlocked ? (this.blockedSinceMs ?? nowMs) : undefined;
    this.delayMs = all.reduce((sum, each) => sum + (each.extraDelayMs ?? 0), this.#facts.delayMs);
    this.bytesPerMs = all.reduce((rate, each) => rate * (each.bandwidthShare ?? 1), this.#facts.bytesPerMs);
    this.lossShare = all.reduce((share, each) => Math.max(share, each.lossShare ?? 0), this.#facts.lossShare);
    for (const user of this.users) user.handleConditions();
  }
}

/** All directions between machines; each is made when it is first used. */
export class Network {
  readonly #directions = new Map<string, Map<string, Direction>>();
  readonly #facts: (a: string, b: string) => WireFacts;

  /** `facts` are those of an unordered pair: both ways are alike until a fault makes them differ. */
  constructor(facts: (a: string, b: string) => WireFacts) {
    this.#facts = facts;
  }

  direction(from: string, to: string): Direction {
    let row = this.#directions.get(from);
    if (row === undefined) {
      row = new Map();
      this.#directions.set(from, row);
    }
    let direction = row.get(to);
    if (direction === undefined) {
      direction = new Direction(from, to, from < to ? this.#facts(from, to) : this.#facts(to, from));
      row.set(to, direction);
    }
    return present(direction, 'was just made');
  }

  /** Both ways are open. */
  isOpen(a: string, b: string): boolean {
    return !this.direction(a, b).isBlocked && !this.direction(b, a).isBlocked;
  }
}
