import type { Expr, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { PolicyEntity, PolicyRequest, PolicyValue } from '#trust/policy/engine.ts';

/** A part of a policy's conditions as a policy of its own, which permits where the part holds. */
export interface ConditionPart {
  readonly json: PolicyJson;
  readonly attributes: readonly { readonly path: string; readonly value: string | undefined }[];
}

/** In one answer for a person. */
const MAX_PARTS = 32;
const MAX_ATTRIBUTES = 8;

/** The parts that must all hold: each side of `&&` under `when`; each side of `||` under `unless`, negated. */
export function splitConditions(
  policy: PolicyJson,
  request: PolicyRequest,
  entities: readonly PolicyEntity[],
): readonly ConditionPart[] {
  const parts = policy.conditions.flatMap(({ kind, body }) =>
    kind === 'when' ? sides(body, '&&') : sides(body, '||').map((side): Expr => ({ '!': { arg: side } })),
  );
  return parts.slice(0, MAX_PARTS).map((body) => ({
    json: {
      effect: 'permit',
      principal: { op: 'All' },
      action: { op: 'All' },
      resource: { op: 'All' },
      conditions: [{ kind: 'when', body }],
    },
    attributes: attributesIn(body)
      .slice(0, MAX_ATTRIBUTES)
      .map((path) => ({ path: path.join('.'), value: valueAt(path, request, entities) })),
  }));
}

function sides(body: Expr, operator: '&&' | '||'): readonly Expr[] {
  const pair = fieldOf(body, operator);
  if (!isPair(pair)) return [body];
  return [...sides(pair.left, operator), ...sides(pair.right, operator)];
}

function isPair(value: unknown): value is { readonly left: Expr; readonly right: Expr } {
  return fieldOf(value, 'left') !== undefined && fieldOf(value, 'right') !== undefined;
}

/** `principal.posture.os` reads [principal, posture, os]; the longest paths only. */
function attributesIn(node: unknown): readonly (readonly string[])[] {
  const path = pathOf(node);
  if (path !== undefined) return path.length > 1 ? [path] : [];
  if (typeof node !== 'object' || node === null) return [];
  const found = new Map(
    Object.values(node)
      .flatMap((child) => attributesIn(child))
      .map((it) => [it.join('.'), it]),
  );
  return [...found.values()];
}

function pathOf(node: unknown): readonly string[] | undefined {
  const variable = fieldOf(node, 'Var');
  if (typeof variable === 'string') return [variable];
  const access = fieldOf(node, '.');
  const attribute = fieldOf(access, 'attr');
  if (access === undefined) return undefined;
  const left = pathOf(fieldOf(access, 'left'));
  return left === undefined || typeof attribute !== 'string' ? undefined : [...left, attribute];
}

function valueAt(
  [variable, ...names]: readonly string[],
  request: PolicyRequest,
  entities: readonly PolicyEntity[],
): string | undefined {
  let value: PolicyValue | undefined = rootOf(variable, request, entities);
  for (const name of names) value = fieldOf(value, name) as PolicyValue | undefined;
  return value === undefined ? undefined : JSON.stringify(value);
}

function rootOf(
  variable: string | undefined,
  request: PolicyRequest,
  entities: readonly PolicyEntity[],
): Readonly<Record<string, PolicyValue>> | undefined {
  if (variable === 'context') return request.context;
  if (variable !== 'principal' && variable !== 'resource') return undefined;
  const wanted = request[variable];
  return entities.find(({ type, id }) => type === wanted.type && id === wanted.id)?.attributes;
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}
