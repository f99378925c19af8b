import { MAX_REFUSED, REFUSED_MS } from '#mesh/linkstate/limits.ts';

/** Hashes of what was refused after costly work, so that the same bytes cost nothing again; the oldest make room. */
export class RefusedHashes {
  readonly #hashes = new Set<string>();
  #forgetAtMs: number;

  constructor(nowMs: number) {
    this.#forgetAtMs = nowMs + REFUSED_MS;
  }

  add(hash: string): void {
    const oldest = this.#hashes.size < MAX_REFUSED ? undefined : this.#hashes.values().next().value;
    if (oldest !== undefined) this.#hashes.delete(oldest);
    this.#hashes.add(hash);
  }

  has(hash: string): boolean {
    return this.#hashes.has(hash);
  }

  clear(): void {
    this.#hashes.clear();
  }

  handleTick(nowMs: number): void {
    if (nowMs < this.#forgetAtMs) return;
    this.#forgetAtMs = nowMs + REFUSED_MS;
    this.#hashes.clear();
  }
}
