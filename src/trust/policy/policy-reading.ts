import type { PolicyText } from '#trust/policy/engine.ts';
import type { PolicyIndex } from '#trust/policy/policy-index.ts';
import { scanStatement, type StatementScan } from '#trust/policy/policy-scan.ts';

/** Texts between two looks at the clock: each takes some hundredths of a millisecond, the longest allowed one a millisecond. */
const TEXTS_A_LOOK = 4;

/** Reads the texts of a set that is to be in force soon, some at a time, so that its index is put together in no time. */
export class PolicyReading {
  readonly #scans = new Map<string, StatementScan>();
  readonly #unread: string[] = [];

  /** `known`: what was read for it is taken over. */
  constructor(policies: readonly PolicyText[], known: PolicyIndex) {
    const scans = known.scans();
    for (const { text } of policies) {
      const scan = scans.get(text);
      if (scan === undefined) this.#unread.push(text);
      else this.#scans.set(text, scan);
    }
  }

  /** What was read so far, by text. */
  get scans(): ReadonlyMap<string, StatementScan> {
    return this.#scans;
  }

  get isDone(): boolean {
    return this.#unread.length === 0;
  }

  /** Reads until `isUsedUp` says so or all is read; some at least. */
  handleTurn(isUsedUp: () => boolean): void {
    while (!this.isDone) {
      for (const text of this.#unread.splice(-TEXTS_A_LOOK)) this.#scans.set(text, scanStatement(text));
      if (isUsedUp()) return;
    }
  }
}
