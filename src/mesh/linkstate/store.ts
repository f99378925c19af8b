import { TokenBucket } from '#kernel/bounded.ts';
import type { RecordBody } from '#mesh/linkstate/body.ts';
import { MAX_AGE_MS, MAX_ORIGINS, ORIGIN_BURST, ORIGIN_PER_SECOND } from '#mesh/linkstate/limits.ts';
import { summaryInput, type DigestEntry } from '#mesh/linkstate/messages.ts';
import type { RecordEnvelope } from '#mesh/linkstate/record.ts';
import { compareNames } from '#topology/search.ts';

/** A certificate that a stored record cites. */
export interface HeldCertificate {
  readonly der: Uint8Array;
  readonly name: string;
  readonly hash: string;
  readonly notAfterMs: number;
  verify(message: Uint8Array, signature: Uint8Array): boolean;
}

/** A verified record. */
export interface StoredRecord {
  readonly envelope: RecordEnvelope;
  readonly body: RecordBody;
  /** SHA-256 of the whole record, lower-case hex. */
  readonly hash: string;
  readonly certificate: HeldCertificate;
}

/** The newest verified record of every origin, with the certificate it cites; at most MAX_ORIGINS. */
export class RecordStore {
  readonly #records = new Map<string, StoredRecord>();
  readonly #originByCertificate = new Map<string, string>();
  readonly #buckets = new Map<string, TokenBucket>();
  #summaryInput: Uint8Array | undefined;

  get size(): number {
    return this.#records.size;
  }

  get(origin: string): StoredRecord | undefined {
    return this.#records.get(origin);
  }

  all(): Iterable<StoredRecord> {
    return this.#records.values();
  }

  origins(): Iterable<string> {
    return this.#records.keys();
  }

  hasRoomFor(origin: string): boolean {
    return this.#records.has(origin) || this.#records.size < MAX_ORIGINS;
  }

  certificate(hash: string): HeldCertificate | undefined {
    const origin = this.#originByCertificate.get(hash);
    return origin === undefined ? undefined : this.#records.get(origin)?.certificate;
  }

  /** Takes from the origin's allowance for updates. Only verified records may be charged: others are not its doing. */
  charge(origin: string, nowMs: number): boolean {
    let bucket = this.#buckets.get(origin);
    if (bucket === undefined) {
      bucket = new TokenBucket(ORIGIN_BURST, ORIGIN_PER_SECOND, nowMs);
      this.#buckets.set(origin, bucket);
    }
    return bucket.take(nowMs);
  }

  put(record: StoredRecord): void {
    const { origin } = record.envelope;
    const old = this.#records.get(origin);
    if (old !== undefined) this.#originByCertificate.delete(old.certificate.hash);
    this.#records.set(origin, record);
    this.#originByCertificate.set(record.certificate.hash, origin);
    this.#summaryInput = undefined;
  }

  remove(origin: string): void {
    const old = this.#records.get(origin);
    if (old === undefined) return;
    this.#originByCertificate.delete(old.certificate.hash);
    this.#records.delete(origin);
    this.#buckets.delete(origin);
    this.#summaryInput = undefined;
  }

  /** Bytes whose hash is this store's summary; made once per change. */
  summaryInput(): Uint8Array {
    this.#summaryInput ??= summaryInput(this.digest([...this.#records.keys()].toSorted(compareNames)));
    return this.#summaryInput;
  }

  /** Entries for those of `origins` that are still here. */
  digest(origins: readonly string[]): DigestEntry[] {
    return origins.flatMap((origin) => {
      const record = this.#records.get(origin);
      if (record === undefined) return [];
      const { incarnation, sequence } = record.envelope;
      return [{ origin, incarnation, sequence, hash: record.hash }];
    });
  }
}

/** Whether a record is past its certificate's end or was not refreshed. */
export function isExpired(
  record: { readonly body: RecordBody; readonly certificate: { readonly notAfterMs: number } },
  wallMs: number,
): boolean {
  return record.certificate.notAfterMs <= wallMs || record.body.issuedAtMs + MAX_AGE_MS <= wallMs;
}
