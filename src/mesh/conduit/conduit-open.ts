import { decode, encode } from '@msgpack/msgpack';
import { isOneMessage } from '#kernel/msgpack-shape.ts';
import { isServiceName } from '#trust/identity.ts';

const CONDUIT_VERSION = 1;
export const CONDUIT_ID_BYTES = 16;
/** A version, an id and a few fields; later versions may nest deeper. */
const MAX_DEPTH = 8;
/** W3C Trace Context §3.2. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
/** An opener that tries again as often as this has lost its minute long ago. */
const MAX_ATTEMPT = 2 ** 31;

/** The body of OPEN, kind conduit: begin this stream, or go on beginning it. */
export interface ConduitOpen {
  /** 32 hexadecimal digits. */
  readonly id: string;
  /** Higher than all before it; the highest wins. */
  readonly attempt: number;
  /** Of the process that is meant: another one, with the same name, refuses. */
  readonly incarnation: number;
  readonly service: string;
  /** W3C `traceparent` of what the stream is for; whoever relays it does not see it. */
  readonly trace?: string;
}

/** How far one side has received. */
export interface ConduitPosition {
  readonly received: number;
  /** The other's end was received too. */
  readonly fin: boolean;
}

/** The body of OPEN, kind attach: go on with this stream here. */
export interface ConduitAttach extends ConduitPosition {
  readonly id: string;
  readonly attempt: number;
}

export function encodeConduitOpen({ id, attempt, incarnation, service, trace }: ConduitOpen): Uint8Array {
  const body = [CONDUIT_VERSION, Uint8Array.fromHex(id), attempt, incarnation, service];
  return encode(trace === undefined ? body : [...body, trace]);
}

/** Undefined for anything else. Never throws. */
export function decodeConduitOpen(body: Uint8Array): ConduitOpen | undefined {
  const [version, id, attempt, incarnation, service, trace] = decodeList(body);
  if (version !== CONDUIT_VERSION || !isId(id) || !isAttempt(attempt) || !isOffset(incarnation)) return undefined;
  if (typeof service !== 'string' || !isServiceName(service)) return undefined;
  const traced = typeof trace === 'string' && TRACEPARENT.test(trace) ? { trace } : {};
  return { id: id.toHex(), attempt, incarnation, service, ...traced };
}

export function encodeConduitAttach({ id, attempt, received, fin }: ConduitAttach): Uint8Array {
  return encode([CONDUIT_VERSION, Uint8Array.fromHex(id), attempt, received, fin]);
}

/** Undefined for anything else. Never throws. */
export function decodeConduitAttach(body: Uint8Array): ConduitAttach | undefined {
  const [version, id, attempt, received, fin] = decodeList(body);
  if (version !== CONDUIT_VERSION || !isId(id) || !isAttempt(attempt)) return undefined;
  if (!isOffset(received) || typeof fin !== 'boolean') return undefined;
  return { id: id.toHex(), attempt, received, fin };
}

/** The body of ACCEPT for either kind. */
export function encodeConduitPosition({ received, fin }: ConduitPosition): Uint8Array {
  return encode([received, fin]);
}

/** Undefined for anything else. Never throws. */
export function decodeConduitPosition(body: Uint8Array): ConduitPosition | undefined {
  const [received, fin] = decodeList(body);
  return isOffset(received) && typeof fin === 'boolean' ? { received, fin } : undefined;
}

function decodeList(body: Uint8Array): readonly unknown[] {
  if (!isOneMessage(body, MAX_DEPTH)) return [];
  try {
    const value = decode(body, {
      maxStrLength: 64,
      maxArrayLength: 16,
      maxMapLength: 0,
      maxBinLength: 32,
      maxExtLength: 0,
    });
    return Array.isArray(value) ? (value as unknown[]) : [];
  } catch {
    return [];
  }
}

function isId(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.byteLength === CONDUIT_ID_BYTES;
}

function isAttempt(value: unknown): value is number {
  return isOffset(value) && value <= MAX_ATTEMPT;
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
