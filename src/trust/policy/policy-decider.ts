import type {
  Decision,
  EntityRef,
  PolicyEngine,
  PolicyEntity,
  PolicyError,
  PolicyRequest,
  PolicyText,
} from '#trust/policy/engine.ts';
import { CACHED_DECISION_LIMIT } from '#trust/policy/limits.ts';
import { PolicyIndex } from '#trust/policy/policy-index.ts';
import { PolicyReading } from '#trust/policy/policy-reading.ts';

/** What policies say to one request. */
export interface Evaluation {
  readonly allowed: boolean;
  readonly policies: readonly string[];
  readonly errors: readonly PolicyError[];
}

/** One part of a policy's conditions. */
export interface ConditionOutcome {
  readonly text: string;
  readonly isMet: boolean;
  /** Attributes that it asks for, as `principal.posture.os`, with what they are here. */
  readonly attributes: readonly { readonly path: string; readonly value: string | undefined }[];
}

/** What evaluates Cedar. Nothing of it throws. */
export interface PolicyEvaluator {
  /** The same `policies` object again costs no parsing as long as it is remembered. A failure reads as a denial with its error. */
  evaluate(policies: readonly PolicyText[], request: PolicyRequest, entities: readonly PolicyEntity[]): Evaluation;
  /** How each part of a policy's conditions turns out: those of `when` that are to be true, those of `unless` that are not. */
  evaluateConditions(
    policy: PolicyText,
    request: PolicyRequest,
    entities: readonly PolicyEntity[],
  ): readonly ConditionOutcome[];
}

export interface PolicyDeciderPorts {
  readonly evaluator: PolicyEvaluator;
  /** 32 hexadecimal digits, never the same twice. */
  newId(): string;
  /** Unix milliseconds. */
  wallMs(): number;
}

/** Entities by reference; undefined for one that is not known, which is in no group and has no attributes. */
export type FindEntity = (entity: EntityRef) => PolicyEntity | undefined;

interface CachedDecision {
  readonly decision: Decision;
  /** Until this minute is over; undefined where time does not matter. */
  readonly minute: number | undefined;
}

const NOTHING: Evaluation = { allowed: false, policies: [], errors: [] };
const MINUTE_MS = 60_000;

/** Decides by the policies and entities that it was given last: default deny, forbid wins. */
export class PolicyDecider implements PolicyEngine {
  readonly #ports: PolicyDeciderPorts;
  #index = new PolicyIndex([]);
  #policies: readonly PolicyText[] = [];
  #findEntity: FindEntity = () => undefined;
  #version = 0;
  readonly #cache = new Map<string, CachedDecision>();

  constructor(ports: PolicyDeciderPorts) {
    this.#ports = ports;
  }

  /** What is decided from now on. `version`: of the snapshot, for the record. */
  load(policies: readonly PolicyText[], findEntity: FindEntity, version: number, reading = this.read(policies)): void {
    // What was parsed for the same policies stays so.
    if (!areSame(policies, this.#policies)) this.#index = new PolicyIndex(policies, reading.scans);
    this.#policies = policies;
    this.#findEntity = findEntity;
    this.#version = version;
    this.#cache.clear();
  }

  /** Begins to read what is to be loaded; what is in force already costs nothing. */
  read(policies: readonly PolicyText[]): PolicyReading {
    return new PolicyReading(policies, this.#index);
  }

  get index(): PolicyIndex {
    return this.#index;
  }

  decide(request: PolicyRequest): Decision {
    const key = keyOf(request);
    const minute = Math.floor(this.#ports.wallMs() / MINUTE_MS);
    const cached = this.#cache.get(key);
    if (cached !== undefined && (cached.minute === undefined || cached.minute === minute)) return cached.decision;
    const { decision, usesTime } = this.#decide(request);
    this.#cache.delete(key);
    if (this.#cache.size >= CACHED_DECISION_LIMIT) this.#forgetOldest();
    this.#cache.set(key, { decision, minute: usesTime ? minute : undefined });
    return decision;
  }

  #decide(request: PolicyRequest): { readonly decision: Decision; readonly usesTime: boolean } {
    const principal = this.#findEntity(request.principal) ?? unknownEntity(request.principal);
    const candidates = this.#index.candidates(principal, request.resource);
    const entities = this.#slice(principal, request.resource, candidates.literals);
    const { policies } = candidates;
    const evaluation = policies.length === 0 ? NOTHING : this.#ports.evaluator.evaluate(policies, request, entities);
    const decision: Decision = {
      id: this.#ports.newId(),
      ...request,
      ...evaluation,
      snapshotVersion: this.#version,
      decidedAtMs: this.#ports.wallMs(),
      entities,
      candidates: policies,
    };
    return { decision, usesTime: candidates.usesTime };
  }

  #slice(principal: PolicyEntity, resource: EntityRef, literals: readonly EntityRef[]): readonly PolicyEntity[] {
    const slice = [principal];
    for (const entity of [resource, ...literals]) {
      const found = this.#findEntity(entity);
      const isThere = found === undefined || slice.some(({ type, id }) => type === entity.type && id === entity.id);
      if (!isThere) slice.push(found);
    }
    return slice;
  }

  #forgetOldest(): void {
    for (const key of this.#cache.keys()) {
      this.#cache.delete(key);
      return;
    }
  }
}

/** Decides once more what was decided, from nothing but the record of it. */
export function replayDecision(decision: Decision, evaluator: PolicyEvaluator): Evaluation {
  if (decision.candidates.length === 0) return NOTHING;
  return evaluator.evaluate(decision.candidates, decision, decision.entities);
}

function unknownEntity({ type, id }: EntityRef): PolicyEntity {
  return { type, id, attributes: {}, parents: [] };
}

function keyOf({ principal, action, resource }: PolicyRequest): string {
  return `${principal.type} ${principal.id}\n${action}\n${resource.type} ${resource.id}`;
}

function areSame(left: readonly PolicyText[], right: readonly PolicyText[]): boolean {
  return (
    left.length === right.length && left.every(({ id, text }, at) => right[at]?.id === id && right[at]?.text === text)
  );
}
