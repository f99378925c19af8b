import { createRequire } from 'node:module';
import type * as cedarWasm from '@cedar-policy/cedar-wasm/nodejs';
import { CodedError } from '#control/coded-error.ts';

export type Cedar = typeof cedarWasm;

const MODULE = '@cedar-policy/cedar-wasm/nodejs';
/** A start takes 40 ms of everybody's time: what ends the evaluator more often than this is refused until a minute is over. */
const RESTART_LIMIT = 16;
const RESTART_WINDOW_MS = 60_000;

/**
 * The evaluator, which is a program of its own in WebAssembly: it is compiled at the first use (some 40 ms and 25 to 45 MiB), and
 * started anew when a call has ended it, because all further ones would fail. Each has a memory of its own (6 MiB more): what ends
 * one, others do not notice.
 */
export class CedarModule {
  readonly #require = createRequire(import.meta.url);
  #cedar: Cedar | undefined;
  /** When it was ended, lately. Monotonic milliseconds. */
  #endedAtMs: readonly number[] = [];
  /** Counts what ended it: what was parsed before is gone. */
  generation = 0;

  get isLoaded(): boolean {
    return this.#cedar !== undefined;
  }

  /** Throws POLICY_ENGINE_FAILED, and only that. */
  call<T>(use: (cedar: Cedar) => T): T {
    try {
      return use(this.#load());
    } catch (error) {
      if (isCrash(error)) this.#discard();
      const what = error instanceof Error ? error.message : String(error);
      throw new CodedError('POLICY_ENGINE_FAILED', `the policy evaluator failed: ${what.slice(0, 200)}`);
    }
  }

  #load(): Cedar {
    if (this.#cedar !== undefined) return this.#cedar;
    const sinceMs = performance.now() - RESTART_WINDOW_MS;
    this.#endedAtMs = this.#endedAtMs.filter((atMs) => atMs > sinceMs);
    if (this.#endedAtMs.length >= RESTART_LIMIT)
      throw new Error('it was ended too often; it starts again within a minute');
    // Else it would be the one that somebody else has.
    delete this.#require.cache[this.#require.resolve(MODULE)];
    this.#cedar = this.#require(MODULE) as Cedar;
    return this.#cedar;
  }

  #discard(): void {
    this.#cedar = undefined;
    this.#endedAtMs = [...this.#endedAtMs, performance.now()];
    this.generation++;
  }
}

/** The evaluator's stack or ours is exhausted, or its memory is. All else it says itself, and goes on. */
function isCrash(error: unknown): boolean {
  return error instanceof RangeError || (error instanceof Error && error.name === 'RuntimeError');
}
