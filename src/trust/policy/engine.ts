/** An entity by its type without namespace (`Node`, `Service`, `User`, `Token`, …) and its id. */
export interface EntityRef {
  readonly type: string;
  readonly id: string;
}

/** Booleans, whole numbers, texts, other entities, and records of these. */
export type PolicyValue = boolean | number | string | EntityRef | { readonly [name: string]: PolicyValue };

/** One entity as a decision sees it. */
export interface PolicyEntity extends EntityRef {
  readonly attributes: Readonly<Record<string, PolicyValue>>;
  readonly parents: readonly EntityRef[];
}

/** One statement. `id` is unique in its set. */
export interface PolicyText {
  readonly id: string;
  readonly text: string;
}

export interface PolicyRequest {
  readonly principal: EntityRef;
  readonly action: string;
  readonly resource: EntityRef;
  readonly context: Readonly<Record<string, PolicyValue>>;
}

/** A policy that could not be evaluated for a request: it permits nothing. */
export interface PolicyError {
  readonly policy: string;
  readonly message: string;
}

/** What was decided and everything it was decided from, enough to decide it again elsewhere. */
export interface Decision extends PolicyRequest {
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly allowed: boolean;
  /** Those that decided: permits of what is allowed, forbids of what is forbidden, none where nothing permits. */
  readonly policies: readonly string[];
  readonly errors: readonly PolicyError[];
  readonly snapshotVersion: number;
  /** Unix milliseconds. */
  readonly decidedAtMs: number;
  readonly entities: readonly PolicyEntity[];
  /** The only policies whose scope can apply. */
  readonly candidates: readonly PolicyText[];
}

/** What decides: see {@link PolicyDecider}. */
export interface PolicyEngine {
  decide(request: PolicyRequest): Decision;
}
