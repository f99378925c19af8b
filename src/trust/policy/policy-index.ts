import type { EntityRef, PolicyEntity, PolicyText } from '#trust/policy/engine.ts';
import { scanStatement, type Scope, type StatementScan } from '#trust/policy/policy-scan.ts';

/** The policies that can apply to one kind of request. The same object for the same ones, as long as it is remembered. */
export interface CandidateSet {
  readonly policies: readonly PolicyText[];
  readonly usesTime: boolean;
  /** Entities whose attributes a decision may ask for beside the principal's and the resource's. */
  readonly literals: readonly EntityRef[];
}

/** Texts that hold a set's candidates are put together again when as many others were asked for since. */
const REMEMBERED_SETS = 1_024;
const ANYTHING = '*';
const NONE: CandidateSet = { policies: [], usesTime: false, literals: [] };

interface Indexed extends PolicyText {
  readonly scan: StatementScan;
}

/**
 * Finds the policies that can apply to a request by the entities that their heads name, without evaluating any: by resource, then
 * by principal or one of its groups.
 */
export class PolicyIndex {
  readonly #policies: readonly Indexed[];
  /** Positions in `#policies`, by resource and then by principal. */
  readonly #positions = new Map<string, Map<string, number[]>>();
  readonly #sets = new Map<string, CandidateSet>();

  /** `scans`: of texts that were read already, see {@link PolicyReading}. */
  constructor(policies: readonly PolicyText[], scans: ReadonlyMap<string, StatementScan> = new Map()) {
    this.#policies = policies.map((policy) => ({
      ...policy,
      scan: scans.get(policy.text) ?? scanStatement(policy.text),
    }));
    for (const [position, { scan }] of this.#policies.entries()) this.#add(position, scan);
  }

  get count(): number {
    return this.#policies.length;
  }

  /** Whether any policy's outcome may change with the minute. */
  get usesTime(): boolean {
    return this.#policies.some(({ scan }) => scan.usesTime);
  }

  /** Those whose head fits both; `resource` without parents. */
  candidates(principal: Pick<PolicyEntity, 'type' | 'id' | 'parents'>, resource: EntityRef): CandidateSet {
    const positions: number[] = [];
    for (const byPrincipal of [this.#positions.get(keyOf(resource)), this.#positions.get(ANYTHING)]) {
      if (byPrincipal === undefined) continue;
      take(positions, byPrincipal.get(ANYTHING));
      take(positions, byPrincipal.get(keyOf(principal)));
      for (const parent of principal.parents) take(positions, byPrincipal.get(keyOf(parent)));
    }
    return positions.length === 0 ? NONE : this.#setOf(positions);
  }

  /** Permits for a resource, whoever they are for: what a denied principal may be told of. At most `limit`. */
  permitsOf(resource: EntityRef, limit: number): readonly (PolicyText & { readonly principal: Scope })[] {
    const key = keyOf(resource);
    const found: (PolicyText & { readonly principal: Scope })[] = [];
    for (const { id, text, scan } of this.#policies) {
      if (found.length >= limit) break;
      const fits = scan.resource === undefined || keyOf(scan.resource.entity) === key;
      if (scan.effect === 'permit' && fits) found.push({ id, text, principal: scan.principal });
    }
    return found;
  }

  /** What was read, by text. */
  scans(): ReadonlyMap<string, StatementScan> {
    return new Map(this.#policies.map(({ text, scan }) => [text, scan]));
  }

  #add(position: number, { principal, resource }: StatementScan): void {
    const resourceKey = resource === undefined ? ANYTHING : keyOf(resource.entity);
    const principalKey = principal === undefined ? ANYTHING : keyOf(principal.entity);
    const byPrincipal = this.#positions.get(resourceKey) ?? new Map<string, number[]>();
    this.#positions.set(resourceKey, byPrincipal);
    const positions = byPrincipal.get(principalKey) ?? [];
    byPrincipal.set(principalKey, positions);
    positions.push(position);
  }

  #setOf(positions: number[]): CandidateSet {
    const key = positions.join();
    const known = this.#sets.get(key);
    if (known !== undefined) return known;
    if (this.#sets.size >= REMEMBERED_SETS) this.#sets.clear();
    const chosen = positions.flatMap((position) => this.#policies[position] ?? []);
    const set: CandidateSet = {
      policies: chosen.map(({ id, text }) => ({ id, text })),
      usesTime: chosen.some(({ scan }) => scan.usesTime),
      literals: chosen.flatMap(({ scan }) => scan.literals),
    };
    this.#sets.set(key, set);
    return set;
  }
}

function take(into: number[], positions: readonly number[] | undefined): void {
  if (positions !== undefined) for (const position of positions) into.push(position);
}

function keyOf({ type, id }: EntityRef): string {
  return `${type} ${id}`;
}
