import type { Counters } from '#kernel/counters.ts';
import { decodeBody, sameTopology, type RecordBody } from '#mesh/linkstate/body.ts';
import { MAX_FUTURE_MS } from '#mesh/linkstate/limits.ts';
import type { LinkStatePorts } from '#mesh/linkstate/ports.ts';
import {
  compareVersions,
  parseRecord,
  signatureInput,
  type RecordEnvelope,
  type Version,
} from '#mesh/linkstate/record.ts';
import { RefusedHashes } from '#mesh/linkstate/refused.ts';
import { isExpired, type HeldCertificate, type RecordStore, type StoredRecord } from '#mesh/linkstate/store.ts';

/** A record that is well-formed, newer than what is stored and not verified yet. */
export interface Candidate {
  readonly envelope: RecordEnvelope;
  readonly body: RecordBody;
  readonly hash: string;
}

/** What became of a record. `origin` is absent where the bytes did not tell. */
export type Verdict =
  | { readonly kind: 'refused'; readonly code: string; readonly origin?: string }
  | { readonly kind: 'duplicate'; readonly origin: string }
  /** The sender is behind. */
  | { readonly kind: 'stale'; readonly origin: string }
  | { readonly kind: 'unknown-certificate'; readonly candidate: Candidate }
  | { readonly kind: 'accepted'; readonly origin: string; readonly changed: boolean }
  /** A verified record of this node itself that this process did not make. */
  | { readonly kind: 'own'; readonly origin: string; readonly version: Version };

/** Judges records from outside, cheapest question first; stores those that pass. */
export class RecordIntake {
  readonly #ports: LinkStatePorts;
  readonly #self: string;
  readonly #store: RecordStore;
  readonly #counters: Counters;
  readonly #refusedRecords: RefusedHashes;
  readonly #refusedCertificates: RefusedHashes;

  constructor(ports: LinkStatePorts, self: string, store: RecordStore, counters: Counters, nowMs: number) {
    this.#ports = ports;
    this.#self = self;
    this.#store = store;
    this.#counters = counters;
    this.#refusedRecords = new RefusedHashes(nowMs);
    this.#refusedCertificates = new RefusedHashes(nowMs);
  }

  handleTick(nowMs: number): void {
    this.#refusedRecords.handleTick(nowMs);
    this.#refusedCertificates.handleTick(nowMs);
  }

  /** What was refused may be right now. */
  forgetRefused(): void {
    this.#refusedRecords.clear();
    this.#refusedCertificates.clear();
  }

  /** `record` may be a view of a larger buffer: it is copied before it is kept. */
  judge(record: Uint8Array, nowMs: number, wallMs: number): Verdict {
    const parsed = parseRecord(record);
    if (!parsed.ok) return { kind: 'refused', code: parsed.error };
    const { origin, certificateHash } = parsed.value;
    const hash = this.#ports.hash(record).toHex();
    const stored = this.#store.get(origin);
    if (stored?.hash === hash) return { kind: 'duplicate', origin };
    if (this.#refusedRecords.has(hash)) return refused('record-refused-before', origin);
    if (this.#refusedCertificates.has(certificateHash)) return refused('record-certificate-refused', origin);
    if (stored !== undefined && this.#isOlder(parsed.value, hash, stored)) return { kind: 'stale', origin };
    if (!this.#store.hasRoomFor(origin)) return refused('record-table-full', origin);
    const body = decodeBody(parsed.value.body, origin);
    if (!body.ok) return refused(body.error, origin);
    if (body.value.issuedAtMs > wallMs + MAX_FUTURE_MS) return refused('record-from-the-future', origin);
    const candidate = { envelope: detached(parsed.value), body: body.value, hash };
    const certificate = this.#store.certificate(certificateHash);
    return certificate === undefined
      ? { kind: 'unknown-certificate', candidate }
      : this.judgeWith(candidate, certificate, nowMs, wallMs);
  }

  /** The rest of the judgement, once the certificate is at hand. */
  judgeWith(candidate: Candidate, certificate: HeldCertificate, nowMs: number, wallMs: number): Verdict {
    const { envelope, body, hash } = candidate;
    const { origin } = envelope;
    const stored = this.#store.get(origin);
    if (stored?.hash === hash) return { kind: 'duplicate', origin };
    if (stored !== undefined && this.#isOlder(envelope, hash, stored)) return { kind: 'stale', origin };
    if (certificate.name !== origin) return refused('record-certificate-of-another', origin);
    if (this.#ports.isRevoked(origin, certificate.hash)) return refused('record-revoked', origin);
    if (isExpired({ body, certificate }, wallMs)) return refused('record-expired', origin);
    this.#counters.add('signatures-checked');
    if (!certificate.verify(signatureInput(envelope.signedBytes), envelope.signature)) {
      this.#refusedRecords.add(hash);
      return refused('record-bad-signature', origin);
    }
    if (origin === this.#self) return { kind: 'own', origin, version: envelope };
    return this.#accept({ envelope, body, hash, certificate }, stored, nowMs);
  }

  /** Judges a certificate that a record cited. Refused ones are remembered. */
  judgeCertificate(der: Uint8Array, hash: string): HeldCertificate | undefined {
    if (this.#refusedCertificates.has(hash)) return undefined;
    const copy = new Uint8Array(der);
    const accepted = this.#ports.acceptCertificate(copy);
    if (accepted.ok) {
      const { name, notAfterMs } = accepted.value;
      return {
        der: copy,
        hash,
        name,
        notAfterMs,
        verify: (message, signature) => accepted.value.verify(message, signature),
      };
    }
    this.#refusedCertificates.add(hash);
    this.#counters.add('certificate-refused');
    return undefined;
  }

  #accept(record: StoredRecord, stored: StoredRecord | undefined, nowMs: number): Verdict {
    const { origin } = record.envelope;
    if (!this.#store.hasRoomFor(origin)) return refused('record-table-full', origin);
    if (!this.#store.charge(origin, nowMs)) return refused('record-origin-rate', origin);
    this.#store.put(record);
    return { kind: 'accepted', origin, changed: stored === undefined || !sameTopology(stored.body, record.body) };
  }

  /** Of two records with one version, which an honest origin never makes, the greater hash counts everywhere. */
  #isOlder(version: RecordEnvelope, hash: string, stored: StoredRecord): boolean {
    const order = compareVersions(version, stored.envelope);
    if (order !== 0 || version.origin === this.#self) return order < 0;
    return hash < stored.hash;
  }
}

function refused(code: string, origin: string): Verdict {
  return { kind: 'refused', code, origin };
}

/** The same envelope over a copy of its bytes alone. Not `slice`, which for Node's buffers copies nothing. */
function detached(envelope: RecordEnvelope): RecordEnvelope {
  const parsed = parseRecord(new Uint8Array(envelope.bytes));
  return parsed.ok ? parsed.value : envelope;
}
