import { asciiBytes } from '#kernel/bytes.ts';
import { fail, ok, type Result } from '#kernel/result.ts';
import { signedMessage } from '#trust/signing.ts';
import type { AuditNote, AuditOutcome } from '#control/audit/audit.ts';

/** A note as it is kept. */
export interface AuditBody {
  readonly action: string;
  readonly actor: string;
  /** Unix epoch milliseconds, of the replica that recorded it. */
  readonly atMs: number;
  readonly detail: Readonly<Record<string, string | number | boolean>>;
  readonly outcome: AuditOutcome;
  readonly target: string;
  readonly traceId: string;
}

/** A note in its place. Hashes are SHA-256, lower-case hex; each entry's covers the one before it. */
export interface AuditEntry {
  /** 1 for the first, without gaps. */
  readonly seq: number;
  readonly previousHash: string;
  /** Of the canonical JSON of `body`. */
  readonly bodyHash: string;
  readonly body: AuditBody;
}

/** How far a log goes. */
export interface AuditHead {
  readonly seq: number;
  /** Of the entry with this number. */
  readonly hash: string;
}

/** A signed statement of how far the log had come. */
export interface AuditCheckpoint extends AuditHead {
  readonly atMs: number;
  /** SHA-256 of the signer's certificate, lower-case hex. */
  readonly signerHash: string;
  readonly signature: Uint8Array;
}

/**
 * Where a log is not what it was: an entry is missing or in another place, was changed, was cut off at the end though a
 * checkpoint vouches for it, or a checkpoint was signed by nobody of this mesh.
 */
export interface AuditFault {
  readonly code: 'AUDIT_GAP' | 'AUDIT_CHANGED' | 'AUDIT_CUT' | 'AUDIT_FORGED';
  readonly seq: number;
}

export interface AuditHashPort {
  readonly sha256: (bytes: Uint8Array) => Uint8Array;
}

export interface AuditVerifyPorts extends AuditHashPort {
  /** Whether a control plane of this mesh signed `message` at the time that the checkpoint says. */
  readonly isSigned: (checkpoint: AuditCheckpoint, message: Uint8Array) => boolean;
}

/** What comes before the first entry. */
export const AUDIT_START: AuditHead = { seq: 0, hash: '0'.repeat(64) };

/** Longer texts are cut: a log is no store of what others send. */
const TEXT_LIMIT_CHARS = 512;
const DETAIL_LIMIT = 32;

/** Puts notes behind `head`, in their order. */
export function chainNotes(
  notes: readonly { readonly note: AuditNote; readonly atMs: number }[],
  head: AuditHead,
  ports: AuditHashPort,
): readonly AuditEntry[] {
  let { seq, hash } = head;
  return notes.map(({ note, atMs }) => {
    const body = bodyOf(note, atMs);
    const entry = { seq: ++seq, previousHash: hash, bodyHash: hashOf(canonicalJson(body), ports), body };
    hash = entryHash(entry, ports);
    return entry;
  });
}

/** What the entry after this one must name. */
export function entryHash({ seq, previousHash, bodyHash }: AuditEntry, ports: AuditHashPort): string {
  return ports.sha256(signedMessage('audit', asciiBytes(canonicalJson([seq, previousHash, bodyHash])))).toHex();
}

/** The bytes that a checkpoint's signature covers: `x0/audit-checkpoint/v1\0` ‖ [seq, hash, atMs]. */
export function checkpointMessage({ seq, hash, atMs }: AuditHead & { readonly atMs: number }): Uint8Array {
  return signedMessage('audit-checkpoint', asciiBytes(canonicalJson([seq, hash, atMs])));
}

/** JSON with sorted keys and without spaces; what is not ASCII is escaped. One value has one text. */
export function canonicalJson(value: unknown): string {
  const text = JSON.stringify(sorted(value));
  return text.replaceAll(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Goes along a log, entry by entry, and says where it breaks first. Its memory grows with the checkpoints only. */
export class AuditVerifier {
  readonly #ports: AuditVerifyPorts;
  readonly #checkpoints = new Map<number, AuditCheckpoint[]>();
  #head = AUDIT_START;

  constructor(checkpoints: readonly AuditCheckpoint[], ports: AuditVerifyPorts) {
    this.#ports = ports;
    for (const checkpoint of checkpoints) {
      const same = this.#checkpoints.get(checkpoint.seq);
      if (same === undefined) this.#checkpoints.set(checkpoint.seq, [checkpoint]);
      else same.push(checkpoint);
    }
  }

  handleEntry(entry: AuditEntry): AuditFault | undefined {
    const { seq, previousHash, bodyHash, body } = entry;
    if (seq !== this.#head.seq + 1) return { code: 'AUDIT_GAP', seq: this.#head.seq + 1 };
    if (previousHash !== this.#head.hash || bodyHash !== hashOf(canonicalJson(body), this.#ports))
      return { code: 'AUDIT_CHANGED', seq };
    this.#head = { seq, hash: entryHash(entry, this.#ports) };
    for (const checkpoint of this.#checkpoints.get(seq) ?? []) {
      if (!this.#ports.isSigned(checkpoint, checkpointMessage(checkpoint))) return { code: 'AUDIT_FORGED', seq };
      if (checkpoint.hash !== this.#head.hash) return { code: 'AUDIT_CHANGED', seq };
    }
    return undefined;
  }

  /** How far the log goes, once all entries were given. */
  handleEnd(): Result<AuditHead, AuditFault> {
    const { seq } = this.#head;
    const isCut = [...this.#checkpoints.keys()].some((signed) => signed > seq);
    return isCut ? fail({ code: 'AUDIT_CUT', seq: seq + 1 }) : ok(this.#head);
  }
}

/** A whole log at once. */
export function verifyChain(
  entries: Iterable<AuditEntry>,
  checkpoints: readonly AuditCheckpoint[],
  ports: AuditVerifyPorts,
): Result<AuditHead, AuditFault> {
  const verifier = new AuditVerifier(checkpoints, ports);
  for (const entry of entries) {
    const fault = verifier.handleEntry(entry);
    if (fault !== undefined) return fail(fault);
  }
  return verifier.handleEnd();
}

function bodyOf({ actor, action, target, outcome, detail = {}, traceId = '' }: AuditNote, atMs: number): AuditBody {
  const details = Object.entries(detail).slice(0, DETAIL_LIMIT);
  return {
    action: cut(action),
    actor: cut(actor),
    atMs,
    detail: Object.fromEntries(
      details.map(([key, value]) => [cut(key), typeof value === 'string' ? cut(value) : value]),
    ),
    outcome,
    target: cut(target),
    traceId: cut(traceId),
  };
}

/** NUL is no text to PostgreSQL, and half a pair of surrogates is none to anybody. */
function cut(text: string): string {
  return text.slice(0, TEXT_LIMIT_CHARS).toWellFormed().replaceAll('\0', '\uFFFD');
}

function hashOf(text: string, ports: AuditHashPort): string {
  return ports.sha256(asciiBytes(text)).toHex();
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const pairs = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(pairs.map(([key, inner]) => [key, sorted(inner)]));
}
