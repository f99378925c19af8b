import { TokenBucket } from '#kernel/bounded.ts';
import type { LinkCost } from '#mesh/linkstate/cost.ts';
import {
  DIGEST_SPACING_MS,
  MAX_CERTIFICATES_DUE,
  MAX_DIGEST_ENTRIES,
  MAX_HASHES,
  MAX_ORIGINS,
  MAX_OUTSTANDING,
  MAX_REQUEST_ENTRIES,
  NEIGHBOUR_BURST,
  NEIGHBOUR_PER_SECOND,
  PENDING_MS,
  SUMMARY_MS,
} from '#mesh/linkstate/limits.ts';
import type { Message } from '#mesh/linkstate/messages.ts';
import type { RecordStore } from '#mesh/linkstate/store.ts';

/**
 * What is due to one neighbour. Records are due by origin and made into messages when sent, so a slow
 * neighbour gets the newest of each instead of a queue of old ones, and nothing here outgrows the store.
 */
export class Neighbour {
  readonly cost: LinkCost;
  writable = true;
  readonly #bucket: TokenBucket;
  readonly #recordsDue = new Set<string>();
  readonly #certificatesDue = new Set<string>();
  readonly #certificateRequests = new Set<string>();
  readonly #wanted = new Set<string>();
  /** When a request is given up, by origin. */
  readonly #outstanding = new Map<string, number>();
  #summaryAtMs: number;
  #digestDue = false;
  #digestAtMs: number;
  #digestRest: readonly string[] = [];

  constructor(cost: LinkCost, nowMs: number) {
    this.cost = cost;
    this.#bucket = new TokenBucket(NEIGHBOUR_BURST, NEIGHBOUR_PER_SECOND, nowMs);
    this.#summaryAtMs = nowMs;
    this.#digestAtMs = nowMs;
  }

  charge(nowMs: number, tokens = 1): boolean {
    return this.#bucket.take(nowMs, tokens);
  }

  recordDue(origin: string): void {
    this.#recordsDue.add(origin);
  }

  /** The neighbour has it, or it is gone. */
  recordNotDue(origin: string): void {
    this.#recordsDue.delete(origin);
  }

  certificateDue(hash: string): boolean {
    if (this.#certificatesDue.size >= MAX_CERTIFICATES_DUE) return false;
    this.#certificatesDue.add(hash);
    return true;
  }

  /** Bounded by the pending records that need it. */
  askCertificate(hash: string): void {
    this.#certificateRequests.add(hash);
  }

  summaryDue(nowMs: number): void {
    this.#summaryAtMs = Math.min(this.#summaryAtMs, nowMs);
  }

  digestDue(): void {
    this.#digestDue = true;
  }

  wantRecord(origin: string): void {
    if (this.#wanted.size < MAX_ORIGINS && !this.#outstanding.has(origin)) this.#wanted.add(origin);
  }

  /** What was asked for has been judged, or will not come. */
  settle(origin: string): void {
    this.#outstanding.delete(origin);
  }

  handleTick(nowMs: number): void {
    for (const [origin, untilMs] of this.#outstanding) if (untilMs <= nowMs) this.#outstanding.delete(origin);
  }

  /** The next message for this neighbour, short ones first. */
  next(store: RecordStore, summary: () => string, nowMs: number): Message | undefined {
    if (!this.writable) return undefined;
    if (this.#summaryAtMs <= nowMs) {
      this.#summaryAtMs = nowMs + SUMMARY_MS;
      return { kind: 'summary', hash: summary() };
    }
    return (
      this.#nextRequest(nowMs) ??
      this.#nextCertificate(store) ??
      this.#nextRecord(store) ??
      this.#nextDigest(store, nowMs)
    );
  }

  #nextRequest(nowMs: number): Message | undefined {
    const hashes = takeSome(this.#certificateRequests, MAX_HASHES);
    if (hashes.length > 0) return { kind: 'certificate-request', hashes };
    const room = Math.min(MAX_REQUEST_ENTRIES, MAX_OUTSTANDING - this.#outstanding.size);
    const origins = takeSome(this.#wanted, room);
    for (const origin of origins) this.#outstanding.set(origin, nowMs + PENDING_MS);
    return origins.length > 0 ? { kind: 'request', origins } : undefined;
  }

  #nextCertificate(store: RecordStore): Message | undefined {
    for (const hash of this.#certificatesDue) {
      this.#certificatesDue.delete(hash);
      const certificate = store.certificate(hash);
      if (certificate !== undefined) return { kind: 'certificate', der: certificate.der };
    }
    return undefined;
  }

  #nextRecord(store: RecordStore): Message | undefined {
    for (const origin of this.#recordsDue) {
      this.#recordsDue.delete(origin);
      const record = store.get(origin);
      if (record !== undefined) return { kind: 'record', record: record.envelope.bytes };
    }
    return undefined;
  }

  #nextDigest(store: RecordStore, nowMs: number): Message | undefined {
    if (this.#digestDue && this.#digestAtMs <= nowMs && this.#digestRest.length === 0) {
      this.#digestDue = false;
      this.#digestAtMs = nowMs + DIGEST_SPACING_MS;
      this.#digestRest = [...store.origins()];
    }
    if (this.#digestRest.length === 0) return undefined;
    const entries = store.digest(this.#digestRest.slice(0, MAX_DIGEST_ENTRIES));
    this.#digestRest = this.#digestRest.slice(MAX_DIGEST_ENTRIES);
    return { kind: 'digest', entries };
  }
}

const NOTHING: readonly string[] = [];

function takeSome(from: Set<string>, count: number): readonly string[] {
  if (from.size === 0) return NOTHING;
  const taken: string[] = [];
  for (const item of from) {
    if (taken.length >= count) break;
    taken.push(item);
    from.delete(item);
  }
  return taken;
}
