import { CodedError } from '#control/coded-error.ts';
import type { ReportedProblem } from '#control/report.ts';
import type { Counters } from '#kernel/counters.ts';

/** The part of pino's logger that is used. */
interface Log {
  info(message: string): void;
  warn(fields: { readonly code: string }, message: string): void;
}

/** Two processes with one identity take the session from each other every few seconds; a log needs that once a minute. */
const DOUBLED_MS = 60_000;
const DOUBLED = 'DOUBLED_IDENTITY';

/** Tells how the session with the control plane fares. */
export class SessionLog {
  readonly #log: Log;
  readonly #counters: Counters;
  #toldMs = -Infinity;
  #isUp = false;
  #doubled: { readonly problem: ReportedProblem; readonly atMs: number } | undefined;

  constructor(log: Log, counters: Counters) {
    this.#log = log;
    this.#counters = counters;
  }

  handleState(state: 'up' | 'down', error: Error | undefined, nowMs: number): void {
    this.#isUp = state === 'up';
    if (state === 'up') return this.#log.info('connected to the control plane');
    const code = error instanceof CodedError ? error.code : 'CONTROL_LOST';
    const message = error?.message ?? 'the control plane is away';
    if (code === DOUBLED) this.#handleDoubled(message, nowMs);
    else this.#log.warn({ code }, message);
  }

  /** Whether there is a session now. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** What the operator reads in `x0 status`. */
  problems(nowMs: number): readonly ReportedProblem[] {
    return this.#doubled !== undefined && nowMs - this.#doubled.atMs < DOUBLED_MS ? [this.#doubled.problem] : [];
  }

  #handleDoubled(message: string, nowMs: number): void {
    this.#counters.add(`session-${DOUBLED}`);
    this.#doubled = { problem: { code: DOUBLED, message }, atMs: nowMs };
    if (nowMs - this.#toldMs < DOUBLED_MS) return;
    this.#toldMs = nowMs;
    this.#log.warn({ code: DOUBLED }, message);
  }
}
