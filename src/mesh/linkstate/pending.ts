import type { RecordBody } from '#mesh/linkstate/body.ts';
import { MAX_PENDING, MAX_PENDING_COPIES, MAX_PENDING_PER_NEIGHBOUR, PENDING_MS } from '#mesh/linkstate/limits.ts';
import type { RecordEnvelope } from '#mesh/linkstate/record.ts';

/** A well-formed record whose certificate was asked for. */
export interface PendingRecord {
  readonly peer: string;
  readonly envelope: RecordEnvelope;
  readonly body: RecordBody;
  readonly hash: string;
  readonly untilMs: number;
}

/** Records that wait for the certificate they cite. A neighbour can displace only what it sent itself. */
export class PendingRecords {
  /** By neighbour, then by origin. */
  readonly #byPeer = new Map<string, Map<string, PendingRecord>>();
  /** How many neighbours sent the same record, by its hash. */
  readonly #copies = new Map<string, number>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Whether enough neighbours were asked for this record's certificate already. */
  hasEnough(recordHash: string): boolean {
    return (this.#copies.get(recordHash) ?? 0) >= MAX_PENDING_COPIES;
  }

  /** False when there is no room; a record of the same origin from the same neighbour is replaced. */
  add(record: Omit<PendingRecord, 'untilMs'>, nowMs: number): boolean {
    const ofPeer = this.#byPeer.get(record.peer) ?? new Map<string, PendingRecord>();
    const { origin } = record.envelope;
    const replaced = ofPeer.get(origin);
    const isNew = replaced === undefined;
    if (isNew && (this.#size >= MAX_PENDING || ofPeer.size >= MAX_PENDING_PER_NEIGHBOUR)) return false;
    if (replaced !== undefined) this.#count(replaced.hash, -1);
    this.#count(record.hash, 1);
    ofPeer.set(origin, { ...record, untilMs: nowMs + PENDING_MS });
    this.#byPeer.set(record.peer, ofPeer);
    if (isNew) this.#size++;
    return true;
  }

  /** Whether this neighbour sent a record that waits for this certificate. */
  awaits(peer: string, certificateHash: string): boolean {
    for (const record of this.#byPeer.get(peer)?.values() ?? []) {
      if (record.envelope.certificateHash === certificateHash) return true;
    }
    return false;
  }

  /** Takes out all that wait for this certificate, whoever sent them. */
  takeByCertificate(certificateHash: string): PendingRecord[] {
    return this.#take((record) => record.envelope.certificateHash === certificateHash);
  }

  takeByPeer(peer: string): PendingRecord[] {
    return this.#take((record) => record.peer === peer);
  }

  takeExpired(nowMs: number): PendingRecord[] {
    return this.#take((record) => record.untilMs <= nowMs);
  }

  #take(matches: (record: PendingRecord) => boolean): PendingRecord[] {
    const taken: PendingRecord[] = [];
    for (const [peer, ofPeer] of this.#byPeer) {
      for (const [origin, record] of ofPeer) {
        if (!matches(record)) continue;
        taken.push(record);
        this.#count(record.hash, -1);
        ofPeer.delete(origin);
      }
      if (ofPeer.size === 0) this.#byPeer.delete(peer);
    }
    this.#size -= taken.length;
    return taken;
  }

  #count(recordHash: string, change: number): void {
    const count = (this.#copies.get(recordHash) ?? 0) + change;
    if (count === 0) this.#copies.delete(recordHash);
    else this.#copies.set(recordHash, count);
  }
}
