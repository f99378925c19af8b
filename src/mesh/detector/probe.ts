import { fail, ok, type Result } from '#kernel/result.ts';

/** What a probe says of its sender's session (RFC 5880 §6.2). */
export const ProbeState = { down: 1, init: 2, up: 3 } as const;
export type ProbeState = (typeof ProbeState)[keyof typeof ProbeState];

/** Why the sender's session is down. */
export const Diagnostic = { none: 0, expired: 1, neighbourDown: 2, hung: 3 } as const;
export type Diagnostic = (typeof Diagnostic)[keyof typeof Diagnostic];

/** Both ways alike, so that no answer is larger than its question. */
export const PROBE_BYTES = 64;
export const TAG_BYTES = 16;
/** What the tag covers. */
export const SIGNED_BYTES = PROBE_BYTES - TAG_BYTES;
const PROBE_VERSION = 1;

const OFFSET = {
  version: 0,
  state: 1,
  diagnostic: 2,
  late: 3,
  intervalMs: 4,
  loss: 6,
  discriminator: 8,
  sequence: 16,
  highest: 24,
  sentUs: 32,
  echoUs: 36,
  heldUs: 40,
} as const;
const LOSS_SCALE = 65_535;
const LATE_UNIT_MS = 2;
const MOST_LATE_UNITS = 255;

/** One probe. All times are the sender's own and are only ever compared with its own. */
export interface Probe {
  readonly state: ProbeState;
  readonly diagnostic: Diagnostic;
  /** How late the sender was let run lately, milliseconds, up to 510. */
  readonly lateMs: number;
  /** How often the sender would probe, milliseconds. */
  readonly intervalMs: number;
  /** The share of this link's probes that did not reach the sender, 0 to 1. */
  readonly lossRatio: number;
  /** Names the link at the receiver. */
  readonly discriminator: bigint;
  readonly sequence: bigint;
  /** The highest sequence that the sender had of the receiver; 0: none. */
  readonly highest: bigint;
  /** When it was sent, microseconds modulo 2^32. */
  readonly sentUs: number;
  /** `sentUs` of the receiver's probe `highest`. */
  readonly echoUs: number;
  /** How long the sender had that before it sent this, microseconds. */
  readonly heldUs: number;
}

export type ProbeRefusal = 'truncated' | 'oversize' | 'version';

/** The bytes before the tag. A sequence beyond its 8 bytes wraps: the peer calls it stale. */
export function encodeProbe(probe: Probe): Uint8Array {
  const bytes = new Uint8Array(SIGNED_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(OFFSET.version, PROBE_VERSION);
  view.setUint8(OFFSET.state, probe.state);
  view.setUint8(OFFSET.diagnostic, probe.diagnostic);
  view.setUint8(OFFSET.late, Math.min(MOST_LATE_UNITS, Math.floor(probe.lateMs / LATE_UNIT_MS)));
  view.setUint16(OFFSET.intervalMs, probe.intervalMs);
  view.setUint16(OFFSET.loss, Math.round(probe.lossRatio * LOSS_SCALE));
  view.setBigUint64(OFFSET.discriminator, probe.discriminator);
  view.setBigUint64(OFFSET.sequence, probe.sequence);
  view.setBigUint64(OFFSET.highest, probe.highest);
  view.setUint32(OFFSET.sentUs, probe.sentUs);
  view.setUint32(OFFSET.echoUs, probe.echoUs);
  view.setUint32(OFFSET.heldUs, probe.heldUs);
  return bytes;
}

/** The link that bytes from anybody claim to be for; nothing else in them may be believed before the tag is checked. */
export function readDiscriminator(bytes: Uint8Array): Result<bigint, ProbeRefusal> {
  if (bytes.byteLength < PROBE_BYTES) return fail('truncated');
  if (bytes.byteLength > PROBE_BYTES) return fail('oversize');
  if (bytes[OFFSET.version] !== PROBE_VERSION) return fail('version');
  return ok(viewOf(bytes).getBigUint64(OFFSET.discriminator));
}

/**
 * Reads a probe; undefined for states that do not exist. Assumes {@link readDiscriminator} passed. The tag is not verified yet, so
 * that stale probes cost little: until then nothing may follow from what is read but a refusal.
 */
export function decodeProbe(bytes: Uint8Array): Probe | undefined {
  const view = viewOf(bytes);
  const state = stateOf(view.getUint8(OFFSET.state));
  const diagnostic = diagnosticOf(view.getUint8(OFFSET.diagnostic));
  if (state === undefined || diagnostic === undefined) return undefined;
  return {
    state,
    diagnostic,
    lateMs: view.getUint8(OFFSET.late) * LATE_UNIT_MS,
    intervalMs: view.getUint16(OFFSET.intervalMs),
    lossRatio: view.getUint16(OFFSET.loss) / LOSS_SCALE,
    discriminator: view.getBigUint64(OFFSET.discriminator),
    sequence: view.getBigUint64(OFFSET.sequence),
    highest: view.getBigUint64(OFFSET.highest),
    sentUs: view.getUint32(OFFSET.sentUs),
    echoUs: view.getUint32(OFFSET.echoUs),
    heldUs: view.getUint32(OFFSET.heldUs),
  };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function stateOf(value: number): ProbeState | undefined {
  return Object.values(ProbeState).find((state) => state === value);
}

function diagnosticOf(value: number): Diagnostic | undefined {
  return Object.values(Diagnostic).find((diagnostic) => diagnostic === value);
}
