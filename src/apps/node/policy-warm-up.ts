import type { CedarEvaluator } from '#io/policy-cedar/cedar-evaluator.ts';
import { warmUp } from '#io/policy-cedar/warm-up.ts';
import type { SnapshotBody } from '#trust/snapshot.ts';

/** A node that starts has other things for its processor to do. */
const DELAY_MS = 2_000;

/** Has the evaluator in memory before it stalls traffic, at nodes where streams may begin or end: others need none. */
export class PolicyWarmUp {
  readonly #evaluator: CedarEvaluator;
  readonly #self: string;
  readonly #hasProxy: boolean;
  #timer: NodeJS.Timeout | undefined;

  constructor(evaluator: CedarEvaluator, self: string, hasProxy: boolean) {
    this.#evaluator = evaluator;
    this.#self = self;
    this.#hasProxy = hasProxy;
  }

  handleSnapshot(body: SnapshotBody): void {
    if (this.#timer !== undefined || (body.policies ?? []).length === 0 || !this.#mayBeEnd(body)) return;
    this.#timer = setTimeout(() => void warmUp(this.#evaluator), DELAY_MS).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #mayBeEnd({ services, forwards }: SnapshotBody): boolean {
    const isHere = ({ node }: { readonly node: string }): boolean => node === this.#self;
    return this.#hasProxy || forwards.some(isHere) || services.some(({ instances }) => instances.some(isHere));
  }
}
