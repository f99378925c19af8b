import { compareNames } from '#topology/search.ts';

/** Choices are reconsidered this often, one at a time. */
const REVIEW_MS = 30_000;
/** Another relay takes a place only if it is nearer by this factor and this time. */
const BETTER_RATIO = 0.8;
const BETTER_MS = 1;
/** Links beside the wanted number, while some of the chosen do not answer. */
const MAX_SPARE = 3;
/** A distance that is not measured any more is forgotten, and the relay tried again. */
const DISTANCE_AGE_MS = 60 * 60 * 1000;

/**
 * Keeps the nearest few of many relays. Unknown ones are tried first, in an order that differs from node to node so that
 * load spreads; later one unknown relay at a time is tried beside the chosen and stays only if it is clearly nearer than the farthest.
 */
export class NearestChoice {
  readonly #self: string;
  readonly #distances = new Map<string, { readonly rttMs: number; readonly atMs: number }>();
  readonly #triedMs = new Map<string, number>();
  readonly #chosen = new Set<string>();
  #trial: string | undefined;
  #reviewMs: number;

  constructor(self: string, nowMs: number) {
    this.#self = self;
    this.#reviewMs = nowMs + REVIEW_MS;
  }

  get reviewMs(): number {
    return this.#reviewMs;
  }

  chosen(): ReadonlySet<string> {
    return this.#chosen;
  }

  rttMs(name: string): number | undefined {
    return this.#distances.get(name)?.rttMs;
  }

  handleDistance(name: string, rttMs: number, nowMs: number): void {
    if (rttMs >= 0 && rttMs < Infinity) this.#distances.set(name, { rttMs, atMs: nowMs });
  }

  /** What is not a member any more. */
  forget(isMember: (name: string) => boolean): void {
    for (const known of [this.#distances, this.#triedMs]) {
      for (const name of known.keys()) if (!isMember(name)) known.delete(name);
    }
  }

  /** Brings the choice in line with the candidates: those that are gone leave, the empty places and those of failing ones are filled. */
  update(candidates: readonly string[], count: number, isFailing: (name: string) => boolean, nowMs: number): void {
    const allowed = new Set(candidates);
    for (const name of this.#chosen) if (!allowed.has(name)) this.#chosen.delete(name);
    if (this.#trial !== undefined && !this.#chosen.has(this.#trial)) this.#trial = undefined;
    if (nowMs >= this.#reviewMs) this.#review(candidates, count, isFailing, nowMs);
    let answering = this.#answering(isFailing);
    for (const name of this.#byPreference(candidates)) {
      if (answering >= count || this.#chosen.size >= count + MAX_SPARE) break;
      this.#choose(name, nowMs);
      answering++;
    }
  }

  #answering(isFailing: (name: string) => boolean): number {
    return [...this.#chosen].filter((name) => name !== this.#trial && !isFailing(name)).length;
  }

  #review(candidates: readonly string[], count: number, isFailing: (name: string) => boolean, nowMs: number): void {
    this.#reviewMs = nowMs + REVIEW_MS;
    for (const [name, { atMs }] of this.#distances) {
      if (!this.#chosen.has(name) && atMs + DISTANCE_AGE_MS <= nowMs) this.#distances.delete(name);
    }
    this.#judgeTrial(isFailing);
    if (this.#answering(isFailing) >= count) {
      for (const name of this.#chosen) if (isFailing(name)) this.#chosen.delete(name);
    }
    for (const name of this.#farthestFirst()) {
      if (this.#chosen.size <= count || this.#answering(isFailing) <= count) break;
      this.#chosen.delete(name);
    }
    if (this.#chosen.size <= count && this.#answering(isFailing) === count) this.#startTrial(candidates, nowMs);
  }

  #judgeTrial(isFailing: (name: string) => boolean): void {
    const trial = this.#trial;
    this.#trial = undefined;
    if (trial === undefined) return;
    const farthest = this.#farthestFirst().find((name) => name !== trial);
    if (farthest === undefined) return;
    if (!isFailing(trial) && this.#isClearlyNearer(trial, farthest)) this.#chosen.delete(farthest);
    else this.#chosen.delete(trial);
  }

  #startTrial(candidates: readonly string[], nowMs: number): void {
    const [farthest] = this.#farthestFirst();
    if (farthest === undefined) return;
    const worthwhile = (name: string) => this.rttMs(name) === undefined || this.#isClearlyNearer(name, farthest);
    this.#trial = this.#byPreference(candidates).find(worthwhile);
    if (this.#trial !== undefined) this.#choose(this.#trial, nowMs);
  }

  #choose(name: string, nowMs: number): void {
    this.#chosen.add(name);
    this.#triedMs.set(name, nowMs);
  }

  #isClearlyNearer(name: string, than: string): boolean {
    const rttMs = this.rttMs(name) ?? Infinity;
    const otherMs = this.rttMs(than) ?? Infinity;
    return rttMs < otherMs * BETTER_RATIO && rttMs <= otherMs - BETTER_MS;
  }

  #farthestFirst(): string[] {
    const distance = (name: string) => this.rttMs(name) ?? Number.MAX_VALUE;
    return [...this.#chosen].toSorted((a, b) => distance(b) - distance(a) || compareNames(b, a));
  }

  /** Those not chosen: unknown ones, longest untried first, then the nearest. */
  #byPreference(candidates: readonly string[]): string[] {
    const rank = (name: string) => this.rttMs(name) ?? -1;
    const tried = (name: string) => this.#triedMs.get(name) ?? -Infinity;
    return candidates
      .filter((name) => !this.#chosen.has(name))
      .toSorted(
        (a, b) =>
          rank(a) - rank(b) ||
          compareTimes(tried(a), tried(b)) ||
          this.#spread(a) - this.#spread(b) ||
          compareNames(a, b),
      );
  }

  /** FNV-1a of both names: another order for each node. */
  #spread(name: string): number {
    let hash = 0x811c9dc5;
    for (const character of `${this.#self} ${name}`) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) >>> 0;
    return hash;
  }
}

function compareTimes(a: number, b: number): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
