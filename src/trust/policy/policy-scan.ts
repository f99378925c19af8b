import type { EntityRef } from '#trust/policy/engine.ts';
import { NAMESPACE } from '#trust/policy/schema.ts';

/** What the head of a statement says of its principal or resource: one entity, all in one, or (undefined) whatever. */
export type Scope = { readonly op: 'is' | 'in'; readonly entity: EntityRef } | undefined;

/** What can be said of a statement without evaluating it. Each is no narrower than the truth. */
export interface StatementScan {
  readonly effect: 'permit' | 'forbid' | undefined;
  readonly principal: Scope;
  readonly resource: Scope;
  /** What it decides may change with the minute. */
  readonly usesTime: boolean;
  /** Entities that its conditions name. */
  readonly literals: readonly EntityRef[];
  /** An entity's id is written with an escape: what it names is not seen here. */
  readonly hasEscapedId: boolean;
  readonly depth: number;
  readonly tokens: number;
  /** Of the longest of several statements. */
  readonly statementTokens: number;
  /** UTF-16 units of the longest text in quotes. */
  readonly longestText: number;
}

/** A comment ends where Cedar ends it, or it would hide what Cedar reads. A text that is left open is read once, to the end. */
const TOKEN = /\/\/[^\n\r]*|"(?:[^"\\]|\\.)*"?|[A-Za-z_][A-Za-z0-9_]*|[0-9]+|::|==|!=|<=|>=|&&|\|\||[^\s]/gu;
const TIME_WORDS = ['context', 'lastSeenMinutes'];
/** `principal`, or `principal == X0::Node::"rome"`, or `principal in X0::Group::"env=prod"`. */
const LONGEST_CONSTRAINT = 7;

/** Reads the outside of one statement. Never throws, also for what is no policy. */
export function scanStatement(text: string): StatementScan {
  const tokens = tokenize(text);
  const head = findHead(tokens);
  const [principal, , resource] = head.parts;
  const body = tokens.slice(head.end);
  return {
    effect: head.effect,
    principal: scopeOf(principal),
    resource: scopeOf(resource),
    usesTime: tokens.some((token) => mayNameTime(token)),
    literals: literalsIn(body),
    hasEscapedId: tokens.some((token, at) => tokens[at - 1] === '::' && token.includes('\\')),
    depth: depthOf(tokens),
    tokens: tokens.length,
    statementTokens: longestStatement(tokens),
    longestText: tokens.reduce((most, token) => (token.startsWith('"') ? Math.max(most, token.length - 2) : most), 0),
  };
}

function tokenize(text: string): readonly string[] {
  return (text.match(TOKEN) ?? []).filter((token) => !token.startsWith('//'));
}

/** Also as `principal["posture"]["lastSeenMinutes"]`, and whatever an escape may hide. */
function mayNameTime(token: string): boolean {
  return token.startsWith('"') ? token.includes('\\') || token.includes('lastSeenMinutes') : TIME_WORDS.includes(token);
}

/** The three constraints between the first brackets. */
function findHead(tokens: readonly string[]): {
  readonly effect: 'permit' | 'forbid' | undefined;
  readonly parts: readonly (readonly string[])[];
  readonly end: number;
} {
  const start = tokens.findIndex((token, at) => isEffect(token) && tokens[at + 1] === '(' && tokens[at - 1] !== '@');
  const effect = tokens[start];
  if (effect === undefined || !isEffect(effect)) return { effect: undefined, parts: [], end: 0 };
  const parts: string[][] = [[]];
  let square = 0;
  for (let at = start + 2; at < tokens.length; at++) {
    const token = tokens[at] ?? '';
    if (token === ')') return { effect, parts, end: at + 1 };
    square += token === '[' ? 1 : token === ']' ? -1 : 0;
    if (token === ',' && square === 0) parts.push([]);
    else parts.at(-1)?.push(token);
  }
  return { effect, parts: [], end: 0 };
}

function isEffect(token: string): token is 'permit' | 'forbid' {
  return token === 'permit' || token === 'forbid';
}

/** Anything that is not plainly one entity counts as no constraint. */
function scopeOf(part: readonly string[] | undefined): Scope {
  const [, op, ...rest] = part ?? [];
  if (part === undefined || part.length !== LONGEST_CONSTRAINT) return undefined;
  const entity = entityAt(rest, 0);
  if (entity === undefined) return undefined;
  return op === '==' ? { op: 'is', entity } : op === 'in' ? { op: 'in', entity } : undefined;
}

/** `X0::Type::"id"`; an id with an escape in it is not read. */
function entityAt(tokens: readonly string[], at: number): EntityRef | undefined {
  const [namespace, colons, type, colonsToo, id] = tokens.slice(at, at + 5);
  if (namespace !== NAMESPACE || colons !== '::' || colonsToo !== '::') return undefined;
  if (type === undefined || id?.startsWith('"') !== true || id.includes('\\')) return undefined;
  return { type, id: id.slice(1, -1) };
}

function literalsIn(tokens: readonly string[]): readonly EntityRef[] {
  const literals: EntityRef[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const entity = tokens[at] === NAMESPACE ? entityAt(tokens, at) : undefined;
    if (entity !== undefined) literals.push(entity);
  }
  return literals;
}

function longestStatement(tokens: readonly string[]): number {
  let [longest, start] = [0, 0];
  for (const [at, token] of [...tokens, ';'].entries()) {
    if (token !== ';') continue;
    longest = Math.max(longest, at - start);
    start = at + 1;
  }
  return longest;
}

function depthOf(tokens: readonly string[]): number {
  let depth = 0;
  let deepest = 0;
  for (const token of tokens) {
    if (token === '(' || token === '[' || token === '{' || token === 'if') deepest = Math.max(deepest, ++depth);
    else if (token === ')' || token === ']' || token === '}') depth--;
  }
  return deepest;
}
