import { createRequire } from 'node:module';
import type * as cedarWasm from '@cedar-policy/cedar-wasm/nodejs';
import { CodedError } from '#control/coded-error.ts';

export type Cedar = typeof cedarWasm;

const MODULE = '@cedar-policy/cedar-wasm/nodejs';
/** A text that ends the evaluator is found once; whoever ends it so often is not helped by another start. */
const RESTART_LIMIT = 16;

/**
 * The evaluator, which is a program of its own in WebAssembly: it is compiled at the first use (some 40 ms and 25 to 45 MiB), and
 * started anew when a call has ended it, because all further ones would fail.
 */
export class CedarModule {
  readonly #require = createRequire(import.meta.url);
  #cedar: Cedar | undefined;
  #restarts = 0;
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
      this.#discard();
      const what = error instanceof Error ? error.message : String(error);
      throw new CodedError('POLICY_ENGINE_FAILED', `the policy evaluator failed: ${what.slice(0, 200)}`);
    }
  }

  #load(): Cedar {
    if (this.#cedar !== undefined) return this.#cedar;
    if (this.#restarts > RESTART_LIMIT) throw new Error('it was started too often');
    this.#cedar = this.#require(MODULE) as Cedar;
    return this.#cedar;
  }

  #discard(): void {
    this.#cedar = undefined;
    this.#restarts++;
    this.generation++;
    delete this.#require.cache[this.#require.resolve(MODULE)];
  }
}
