import type { Decision } from '#trust/policy/engine.ts';
import { REMEMBERED_DECISION_LIMIT } from '#trust/policy/limits.ts';

/** Denials that wait for the next report; what comes beyond is counted. */
const UNREPORTED_LIMIT = 256;

/** The latest decisions, and of the denials those that nobody was told of yet. */
export class DecisionLog {
  readonly #decisions = new Map<string, Decision>();
  #unreported: Decision[] = [];
  #droppedCount = 0;

  /** The same decision again counts as the one it was. */
  record(decision: Decision): void {
    const isKnown = this.#decisions.delete(decision.id);
    this.#decisions.set(decision.id, decision);
    if (isKnown) return;
    if (this.#decisions.size > REMEMBERED_DECISION_LIMIT) this.#forgetOldest();
    if (decision.allowed) return;
    if (this.#unreported.length < UNREPORTED_LIMIT) this.#unreported.push(decision);
    else this.#droppedCount++;
  }

  find(id: string): Decision | undefined {
    return this.#decisions.get(id);
  }

  get hasUnreported(): boolean {
    return this.#unreported.length > 0;
  }

  /** Denials that no report had room for. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  /** At most `limit` denials, oldest first; they are reported with this. */
  takeUnreported(limit: number): readonly Decision[] {
    const taken = this.#unreported.slice(0, limit);
    this.#unreported = this.#unreported.slice(limit);
    return taken;
  }

  #forgetOldest(): void {
    for (const id of this.#decisions.keys()) {
      this.#decisions.delete(id);
      return;
    }
  }
}
