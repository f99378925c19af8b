import { asciiBytes } from '#kernel/bytes.ts';
import { fail, ok, type Result } from '#kernel/result.ts';

/** Version of the framing that this program speaks; a neighbour may speak this one or the one before. */
export const PROTOCOL_VERSION = 1;
export const OLDEST_PROTOCOL_VERSION = 1;

/** Every frame: type (1 byte), payload length (3), stream id (4), all big-endian. Frozen. */
export const HEADER_BYTES = 8;

export const FrameType = {
  hello: 1,
  open: 2,
  accept: 3,
  refuse: 4,
  data: 5,
  credit: 6,
  fin: 7,
  reset: 8,
  ping: 9,
  pong: 10,
  goaway: 11,
  ack: 12,
  drain: 13,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

/** What a stream carries: the first byte of OPEN. Frozen. */
export const StreamKind = { linkstate: 1, circuit: 2, stream: 3, conduit: 4, attach: 5, snapshot: 6 } as const;
export type StreamKind = (typeof StreamKind)[keyof typeof StreamKind];

/** One frame of DATA holds at most what one read of a socket gives, so that a turn of the scheduler stays short. */
export const MAX_DATA_BYTES = 65_536;
/** OPEN names at most eight hops or one service: 2 KiB is ample and bounds what a refused one can cost. */
export const MAX_OPEN_BYTES = 2_048;
const MAX_REASON_BYTES = 160;
const HELLO_FIXED_BYTES = 48;
/** Flags and a 64-bit offset. */
const ACK_BYTES = 9;

/** Largest payload by frame type; anything longer, or an unknown type, is malformed. */
const LARGEST_PAYLOAD: readonly (number | undefined)[] = [
  undefined,
  HELLO_FIXED_BYTES + MAX_REASON_BYTES,
  MAX_OPEN_BYTES,
  MAX_OPEN_BYTES,
  MAX_REASON_BYTES,
  MAX_DATA_BYTES,
  4,
  0,
  MAX_REASON_BYTES,
  8,
  8,
  MAX_REASON_BYTES,
  ACK_BYTES,
  MAX_REASON_BYTES,
];

/** The largest payload that a frame of this type may have, in bytes, or undefined for a type that does not exist. */
export function largestPayload(type: number): number | undefined {
  return LARGEST_PAYLOAD[type];
}

export function writeHeader(into: Uint8Array, type: FrameType, length: number, streamId: number): void {
  into[0] = type;
  into[1] = length >>> 16;
  into[2] = length >>> 8;
  into[3] = length;
  into[4] = streamId >>> 24;
  into[5] = streamId >>> 16;
  into[6] = streamId >>> 8;
  into[7] = streamId;
}

/** A whole frame in one array: for control frames, which are small. */
export function encodeFrame(type: FrameType, streamId: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.byteLength);
  writeHeader(frame, type, payload.byteLength, streamId);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

export function encodeAccept(windowBytes: number, body: Uint8Array): Uint8Array {
  const payload = new Uint8Array(4 + body.byteLength);
  new DataView(payload.buffer).setUint32(0, windowBytes);
  payload.set(body, 4);
  return payload;
}

/** Of PING and PONG: eight bytes, of which the last four count. */
export function encodePing(id: number): Uint8Array {
  const payload = new Uint8Array(8);
  new DataView(payload.buffer).setUint32(4, id);
  return payload;
}

/** What a receiver tells the sender of a resumable stream: it has every byte below `received`. */
export interface Ack {
  /** Absolute, below 2^53. */
  readonly received: number;
  /** The end was received too. */
  readonly fin: boolean;
  /** The sender of this has nothing more to ask: both directions are over for it. */
  readonly done: boolean;
}

export function encodeAck(ack: Ack): Uint8Array {
  const payload = new Uint8Array(ACK_BYTES);
  const view = new DataView(payload.buffer);
  view.setUint8(0, (ack.fin ? 1 : 0) | (ack.done ? 2 : 0));
  view.setBigUint64(1, BigInt(ack.received));
  return payload;
}

/** Undefined for anything that is no ACK. */
export function decodeAck(payload: Uint8Array): Ack | undefined {
  if (payload.byteLength !== ACK_BYTES) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, ACK_BYTES);
  const flags = view.getUint8(0);
  const received = view.getBigUint64(1);
  if (flags > 3 || received > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  return { received: Number(received), fin: (flags & 1) !== 0, done: (flags & 2) !== 0 };
}

export function encodeCredit(bytes: number): Uint8Array {
  return encodeAccept(bytes, new Uint8Array());
}

/** The payload of OPEN: kind, the opener's first receive window in bytes, and what the kind defines. */
export function encodeOpen(kind: StreamKind, windowBytes: number, body: Uint8Array): Uint8Array {
  const payload = new Uint8Array(5 + body.byteLength);
  const view = new DataView(payload.buffer);
  view.setUint8(0, kind);
  view.setUint32(1, windowBytes);
  payload.set(body, 5);
  return payload;
}

/** Why a stream or a tunnel was refused or ended: a stable code, and the node that said so where relays are in between. */
export interface Reason {
  readonly code: string;
  readonly hop?: string;
  /** The decision that denied it: 32 hexadecimal digits. */
  readonly decision?: string;
}

const REASON_PATTERN = /^([A-Z][A-Z0-9_]{0,63})(?:@([a-z0-9-]{1,63}))?(?:#([0-9a-f]{32}))?$/;

export function encodeReason(reason: Reason): Uint8Array {
  const hop = reason.hop === undefined ? '' : `@${reason.hop}`;
  const decision = reason.decision === undefined ? '' : `#${reason.decision}`;
  return asciiBytes(`${reason.code}${hop}${decision}`);
}

/** A reason as the peer gave it; one that does not follow the grammar reads `UNREADABLE_REASON`. */
export function decodeReason(payload: Uint8Array): Reason {
  const match = REASON_PATTERN.exec(asciiText(payload));
  if (match?.[1] === undefined) return { code: 'UNREADABLE_REASON' };
  const [, code, hop, decision] = match;
  return { code, ...(hop === undefined ? {} : { hop }), ...(decision === undefined ? {} : { decision }) };
}

function asciiText(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** The first frame of each side. */
export interface Hello {
  readonly version: number;
  readonly oldestVersion: number;
  /** Milliseconds since the epoch at which the sender's process began: the newer incarnation wins. */
  readonly incarnation: number;
  readonly features: number;
  /** 16 bytes. */
  readonly tunnelId: Uint8Array;
  /** 16 bytes, all zero when this tunnel replaces none. */
  readonly replaces: Uint8Array;
  /** Set when the sender refuses this tunnel. */
  readonly refusal?: Reason;
}

export const NO_TUNNEL_ID: Uint8Array = new Uint8Array(16);

export function encodeHello(hello: Hello): Uint8Array {
  const refusal = hello.refusal === undefined ? new Uint8Array() : encodeReason(hello.refusal);
  const payload = new Uint8Array(HELLO_FIXED_BYTES + refusal.byteLength);
  const view = new DataView(payload.buffer);
  view.setUint16(0, hello.version);
  view.setUint16(2, hello.oldestVersion);
  view.setBigUint64(4, BigInt(hello.incarnation));
  view.setUint32(12, hello.features);
  payload.set(hello.tunnelId, 16);
  payload.set(hello.replaces, 32);
  payload.set(refusal, HELLO_FIXED_BYTES);
  return payload;
}

/** @returns the HELLO, or `HELLO_MALFORMED`, or `VERSION_UNSUPPORTED` when the peer speaks nothing that we speak. */
export function decodeHello(payload: Uint8Array): Result<Hello, 'HELLO_MALFORMED' | 'VERSION_UNSUPPORTED'> {
  if (payload.byteLength < HELLO_FIXED_BYTES) return fail('HELLO_MALFORMED');
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const version = view.getUint16(0);
  const oldestVersion = view.getUint16(2);
  if (oldestVersion > version) return fail('HELLO_MALFORMED');
  if (version < OLDEST_PROTOCOL_VERSION || oldestVersion > PROTOCOL_VERSION) return fail('VERSION_UNSUPPORTED');
  const incarnation = view.getBigUint64(4);
  if (incarnation > BigInt(Number.MAX_SAFE_INTEGER)) return fail('HELLO_MALFORMED');
  const refusal = payload.subarray(HELLO_FIXED_BYTES);
  return ok({
    version,
    oldestVersion,
    incarnation: Number(incarnation),
    features: view.getUint32(12),
    tunnelId: payload.slice(16, 32),
    replaces: payload.slice(32, 48),
    ...(refusal.byteLength === 0 ? {} : { refusal: decodeReason(refusal) }),
  });
}
