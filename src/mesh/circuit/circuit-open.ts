import { decode, encode } from '@msgpack/msgpack';
import { isOneMessage } from '#kernel/msgpack-shape.ts';
import { fail, ok, type Result } from '#kernel/result.ts';
import { isNodeName } from '#trust/identity.ts';

export const CIRCUIT_VERSION = 1;
/** OPEN names at most this many nodes after the one that reads it: eight hops with the first link. */
export const MAX_REMAINING_HOPS = 7;
/** A version, and the list of names; later versions may nest deeper. */
const MAX_DEPTH = 8;

export type CircuitRefusal =
  | 'CIRCUIT_MALFORMED'
  | 'CIRCUIT_VERSION'
  | 'CIRCUIT_TOO_LONG'
  | 'CIRCUIT_LOOP'
  | 'CIRCUIT_NOT_RELAY'
  | 'CIRCUIT_NO_LINK'
  | 'CIRCUIT_CAP';

/** The body of a circuit's OPEN: the nodes after the one that reads it, the destination last; none: it ends here. */
export function encodeCircuitOpen(remaining: readonly string[]): Uint8Array {
  return encode([CIRCUIT_VERSION, remaining]);
}

/** Reads what a neighbour sent: at most {@link MAX_REMAINING_HOPS} names, each a node name. Never throws. */
export function decodeCircuitOpen(body: Uint8Array): Result<readonly string[], CircuitRefusal> {
  if (!isOneMessage(body, MAX_DEPTH)) return fail('CIRCUIT_MALFORMED');
  let value: unknown;
  try {
    value = decode(body, { maxStrLength: 64, maxArrayLength: 256, maxMapLength: 0, maxBinLength: 0, maxExtLength: 0 });
  } catch {
    return fail('CIRCUIT_MALFORMED');
  }
  if (!Array.isArray(value) || typeof value[0] !== 'number' || !Array.isArray(value[1]))
    return fail('CIRCUIT_MALFORMED');
  if (value[0] !== CIRCUIT_VERSION) return fail('CIRCUIT_VERSION');
  const names: readonly unknown[] = value[1];
  if (names.length > MAX_REMAINING_HOPS) return fail('CIRCUIT_TOO_LONG');
  const hops = names.filter((name) => typeof name === 'string' && isNodeName(name)) as string[];
  return hops.length === names.length ? ok(hops) : fail('CIRCUIT_MALFORMED');
}

/** What a node knows of itself when it judges an OPEN. */
export interface CircuitView {
  readonly self: string;
  readonly from: string;
  readonly isRelay: boolean;
  hasLink(peer: string): boolean;
  /** Whether the neighbour `from` may have one more circuit over the link to `to`. */
  hasRoom(from: string, to: string): boolean;
}

/**
 * Checks a whole OPEN before anything is forwarded.
 * @returns the next hop, or undefined when the circuit ends here.
 */
export function decideCircuit(hops: readonly string[], view: CircuitView): Result<string | undefined, CircuitRefusal> {
  const next = hops[0];
  if (next === undefined) return ok(undefined);
  const named = new Set([view.self, view.from, ...hops]);
  if (named.size !== hops.length + 2) return fail('CIRCUIT_LOOP');
  if (!view.isRelay) return fail('CIRCUIT_NOT_RELAY');
  if (!view.hasLink(next)) return fail('CIRCUIT_NO_LINK');
  return view.hasRoom(view.from, next) ? ok(next) : fail('CIRCUIT_CAP');
}
