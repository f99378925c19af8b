import type { CedarEvaluator } from '#io/policy-cedar/cedar-evaluator.ts';
import { warmUp } from '#io/policy-cedar/warm-up.ts';
import type { SnapshotBody } from '#trust/snapshot.ts';

/** A node that starts has other things for its processor to do. */
const DELAY_MS = 2_000;

/**
 * Has the evaluator in memory before a decision needs it, where that would stall traffic: a node's own proxies wait for it, and a
 * relay that has a service loads it in advance. Others have nothing that could stall before their first stream, and a node without
 * streams of its own does without it.
 */
export class PolicyWarmUp {
  readonly #evaluator: CedarEvaluator;
  readonly #self: string;
  readonly #isRelay: boolean;
  #hasPolicies = false;
  #timer: NodeJS.Timeout | undefined;
  #warming: Promise<void> | undefined;

  constructor(evaluator: CedarEvaluator, self: string, isRelay: boolean) {
    this.#evaluator = evaluator;
    this.#self = self;
    this.#isRelay = isRelay;
  }

  handleSnapshot({ policies = [], services }: SnapshotBody): void {
    this.#hasPolicies = policies.length > 0;
    const isHere = services.some(({ instances }) => instances.some(({ node }) => node === this.#self));
    if (this.#timer !== undefined || !this.#isRelay || !isHere) return;
    this.#timer = setTimeout(() => void this.ready(), DELAY_MS).unref();
  }

  /** Fulfilled at once where a decision needs no evaluator, or has it. */
  async ready(): Promise<void> {
    if (!this.#hasPolicies || this.#evaluator.isLoaded) return;
    this.#warming ??= warmUp(this.#evaluator);
    await this.#warming;
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
