import { TokenBucket } from '#kernel/bounded.ts';
import type { Audit, AuditNote } from '#control/audit/audit.ts';

/** Refusals of one actor that are recorded one by one: so many at once, and then so many a second. */
const BURST_LIMIT = 32;
const PER_SECOND = 1;
/** Actors whose rate is remembered; the one that came first is forgotten first. */
const ACTOR_LIMIT = 4_096;
/** Kinds of refusals that are counted at once; what is more is counted as of everybody. */
const COUNT_LIMIT = 1_024;
const FLUSH_MS = 5_000;

interface Count {
  readonly note: AuditNote;
  count: number;
}

/**
 * Records refusals, all of them, but not each by itself: who is refused often fills no log with it. What is over an actor's rate is
 * counted by action and code, and the count is recorded.
 */
export class RefusalNotes {
  readonly #audit: Audit;
  readonly #nowMs: () => number;
  readonly #onFailure: (error: unknown) => void;
  readonly #rates = new Map<string, TokenBucket>();
  #counts = new Map<string, Count>();
  readonly #timer: NodeJS.Timeout;

  /** `nowMs` is monotonic; `onFailure` is told what could not be recorded. */
  constructor(audit: Audit, nowMs: () => number, onFailure: (error: unknown) => void) {
    this.#audit = audit;
    this.#nowMs = nowMs;
    this.#onFailure = onFailure;
    this.#timer = setInterval(() => void this.flush(), FLUSH_MS).unref();
  }

  /** `source`: who may have so many. Resolves when it is recorded or counted, and never rejects. */
  async handle(source: string, note: AuditNote): Promise<void> {
    if (this.#rateOf(source).take(this.#nowMs())) await this.#record(note);
    else this.#count(note);
  }

  /** Records what was counted. */
  async flush(): Promise<void> {
    const counts = this.#counts;
    this.#counts = new Map();
    for (const { note, count } of counts.values()) {
      const { actor, action, outcome, detail } = note;
      const code = detail?.['code'] ?? '';
      await this.#record({ actor, action, target: 'several', outcome, detail: { code, count } });
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  async #record(note: AuditNote): Promise<void> {
    try {
      await this.#audit.record(note);
    } catch (error) {
      this.#onFailure(error);
      this.#count(note);
    }
  }

  #count(note: AuditNote): void {
    const key = JSON.stringify([note.actor, note.action, note.outcome, note.detail?.['code']]);
    const isRoom = this.#counts.has(key) || this.#counts.size < COUNT_LIMIT;
    const kept = isRoom ? note : { ...note, actor: 'everybody', action: 'any' };
    const at = isRoom ? key : '';
    const known = this.#counts.get(at) ?? { note: kept, count: 0 };
    known.count += typeof note.detail?.['count'] === 'number' ? note.detail['count'] : 1;
    this.#counts.set(at, known);
  }

  #rateOf(source: string): TokenBucket {
    const known = this.#rates.get(source);
    if (known !== undefined) return known;
    for (const oldest of this.#rates.keys()) {
      if (this.#rates.size < ACTOR_LIMIT) break;
      this.#rates.delete(oldest);
    }
    const made = new TokenBucket(BURST_LIMIT, PER_SECOND, this.#nowMs());
    this.#rates.set(source, made);
    return made;
  }
}
