import { decode, encode } from '@msgpack/msgpack';
import { assert } from '#kernel/assert.ts';
import { isOneMessage } from '#kernel/msgpack-shape.ts';
import { fail, ok, type Result } from '#kernel/result.ts';
import { MAX_BODY_BYTES, MAX_BODY_DEPTH, MAX_NEIGHBOURS } from '#mesh/linkstate/limits.ts';
import { MAX_LINK_COST } from '#topology/graph.ts';
import { isNodeName } from '#trust/identity.ts';

/** What an origin says. Fields that this version does not know stay in the bytes, which are forwarded as they came. */
export interface RecordBody {
  /** Cost by neighbour, 1..{@link MAX_LINK_COST}, at most {@link MAX_NEIGHBOURS}. */
  readonly neighbours: ReadonlyMap<string, number>;
  readonly relay: boolean;
  readonly draining: boolean;
  /** When it was signed, Unix milliseconds. */
  readonly issuedAtMs: number;
}

export type BodyRefusal =
  | 'record-body-too-big'
  | 'record-body-malformed'
  | 'record-too-many-neighbours'
  | 'record-bad-neighbour-name'
  | 'record-names-itself'
  | 'record-neighbour-twice'
  | 'record-cost-out-of-range';

export function encodeBody(body: RecordBody): Uint8Array {
  const { neighbours, relay, draining, issuedAtMs } = body;
  assert(Number.isSafeInteger(issuedAtMs), 'records are dated in whole milliseconds');
  return encode({ neighbours: [...neighbours], relay, draining, issuedAt: issuedAtMs });
}

/** Total: any bytes give a body or a refusal, and what is allocated stays in proportion to them. */
export function decodeBody(bytes: Uint8Array, origin: string): Result<RecordBody, BodyRefusal> {
  if (bytes.byteLength > MAX_BODY_BYTES) return fail('record-body-too-big');
  if (!isOneMessage(bytes, MAX_BODY_DEPTH)) return fail('record-body-malformed');
  const fields = decodeMap(bytes);
  if (fields === undefined) return fail('record-body-malformed');
  const { relay, draining, issuedAt } = fields;
  const flags = typeof relay === 'boolean' && typeof draining === 'boolean';
  if (!flags || !Number.isSafeInteger(issuedAt)) return fail('record-body-malformed');
  const neighbours = parseNeighbours(fields['neighbours'], origin);
  if (!neighbours.ok) return neighbours;
  return ok({ neighbours: neighbours.value, relay, draining, issuedAtMs: Number(issuedAt) });
}

/** Whether two bodies mean the same to paths. */
export function sameTopology(a: RecordBody, b: RecordBody): boolean {
  if (a.relay !== b.relay || a.draining !== b.draining || a.neighbours.size !== b.neighbours.size) return false;
  for (const [name, cost] of a.neighbours) if (b.neighbours.get(name) !== cost) return false;
  return true;
}

function parseNeighbours(value: unknown, origin: string): Result<ReadonlyMap<string, number>, BodyRefusal> {
  if (!Array.isArray(value)) return fail('record-body-malformed');
  if (value.length > MAX_NEIGHBOURS) return fail('record-too-many-neighbours');
  const neighbours = new Map<string, number>();
  for (const entry of value as unknown[]) {
    if (!Array.isArray(entry) || entry.length < 2) return fail('record-body-malformed');
    const [name, cost] = entry as unknown[];
    if (typeof name !== 'string' || !isNodeName(name)) return fail('record-bad-neighbour-name');
    if (name === origin) return fail('record-names-itself');
    if (neighbours.has(name)) return fail('record-neighbour-twice');
    if (!isCost(cost)) return fail('record-cost-out-of-range');
    neighbours.set(name, cost);
  }
  return ok(neighbours);
}

function isCost(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= MAX_LINK_COST;
}

function decodeMap(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value = decode(bytes);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
