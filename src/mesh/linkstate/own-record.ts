import { TokenBucket } from '#kernel/bounded.ts';
import { encodeBody, type RecordBody } from '#mesh/linkstate/body.ts';
import {
  CONTEST_ALARM_COUNT,
  CONTEST_BURST,
  CONTEST_PAUSE_MS,
  CONTEST_WINDOW_MS,
  MAX_SEQUENCE,
  ORIGINATE_BURST,
  ORIGINATE_PER_SECOND,
  ORIGINATE_SPACING_MS,
  REFRESH_MS,
} from '#mesh/linkstate/limits.ts';
import type { AlarmCode, LinkStatePorts } from '#mesh/linkstate/ports.ts';
import {
  attachSignature,
  compareVersions,
  encodeUnsigned,
  parseRecord,
  signatureInput,
  type Version,
} from '#mesh/linkstate/record.ts';
import type { StoredRecord } from '#mesh/linkstate/store.ts';
import { present } from '#kernel/assert.ts';

/** This node's own record: when to make the next one, and above which version. */
export class OwnRecord {
  readonly #ports: LinkStatePorts;
  readonly #origin: string;
  readonly #raiseAlarm: (code: AlarmCode, detail: string) => void;
  readonly #bucket: TokenBucket;
  #last: Version;
  /** The highest version of this name that somebody else made. */
  #met: Version | undefined;
  #contestsMs: number[] = [];
  #alarmAtMs = -Infinity;
  #dueMs: number;
  #lastMs = -Infinity;
  #certificate: StoredRecord['certificate'] | undefined;

  constructor(
    ports: LinkStatePorts,
    options: { readonly origin: string; readonly incarnation: number },
    raiseAlarm: (code: AlarmCode, detail: string) => void,
    nowMs: number,
  ) {
    this.#ports = ports;
    this.#origin = options.origin;
    this.#raiseAlarm = raiseAlarm;
    this.#bucket = new TokenBucket(ORIGINATE_BURST, ORIGINATE_PER_SECOND, nowMs);
    this.#last = { incarnation: options.incarnation, sequence: 0 };
    this.#dueMs = nowMs;
  }

  get dueMs(): number {
    return this.#dueMs;
  }

  /** Something that the record says has changed. */
  handleChange(nowMs: number): void {
    this.#dueMs = Math.min(this.#dueMs, Math.max(nowMs, this.#lastMs + ORIGINATE_SPACING_MS));
  }

  /** A verified record of this name that this process did not make: unless it is old, it is outdone. */
  handleContest(version: Version, nowMs: number): void {
    if (compareVersions(version, this.#last) < 0) return;
    if (this.#met !== undefined && compareVersions(version, this.#met) <= 0) return;
    this.#met = { incarnation: version.incarnation, sequence: version.sequence };
    this.#contestsMs = [...this.#contestsMs.filter((atMs) => atMs > nowMs - CONTEST_WINDOW_MS), nowMs];
    const count = this.#contestsMs.length;
    if (count >= CONTEST_ALARM_COUNT && this.#alarmAtMs <= nowMs) {
      this.#alarmAtMs = nowMs + CONTEST_WINDOW_MS;
      this.#raiseAlarm(
        'DOUBLED_IDENTITY',
        `another process signs records as ${this.#origin}: ${count} within a minute`,
      );
    }
    this.#dueMs = Math.min(this.#dueMs, count <= CONTEST_BURST ? nowMs : nowMs + CONTEST_PAUSE_MS);
  }

  /** Whether a new record may be made now; where the rate forbids it, it becomes due later. */
  takeDue(nowMs: number): boolean {
    if (nowMs < this.#dueMs) return false;
    if (this.#bucket.take(nowMs)) return true;
    this.#dueMs = nowMs + Math.ceil(1000 / ORIGINATE_PER_SECOND);
    return false;
  }

  originate(body: RecordBody, nowMs: number): StoredRecord {
    this.#last = this.#nextVersion();
    this.#lastMs = nowMs;
    this.#dueMs = nowMs + REFRESH_MS;
    const certificate = this.#ports.ownCertificate();
    const unsigned = encodeUnsigned({
      origin: this.#origin,
      ...this.#last,
      certificateHash: certificate.hash,
      body: encodeBody(body),
    });
    const bytes = attachSignature(unsigned, this.#ports.sign(signatureInput(unsigned)));
    const parsed = parseRecord(bytes);
    const envelope = present(parsed.ok ? parsed.value : undefined, 'a node can read its own record');
    return {
      envelope,
      body,
      hash: this.#ports.hash(bytes).toHex(),
      certificate: this.#held(certificate.der, certificate.hash.toHex()),
    };
  }

  /** Judged once: what matters of it later is only whether a record of this name was made with it. */
  #held(der: Uint8Array, hash: string): StoredRecord['certificate'] {
    if (this.#certificate?.hash === hash && this.#certificate.notAfterMs > 0) return this.#certificate;
    const accepted = this.#ports.acceptCertificate(der);
    const verify = (message: Uint8Array, signature: Uint8Array) =>
      accepted.ok && accepted.value.verify(message, signature);
    const notAfterMs = accepted.ok ? accepted.value.notAfterMs : 0;
    this.#certificate = { der, hash, name: this.#origin, notAfterMs, verify };
    return this.#certificate;
  }

  #nextVersion(): Version {
    const met = this.#met;
    const base = met !== undefined && compareVersions(met, this.#last) > 0 ? met : this.#last;
    if (base.sequence < MAX_SEQUENCE) return { incarnation: base.incarnation, sequence: base.sequence + 1 };
    const incarnation = base.incarnation + 1;
    this.#raiseAlarm('SEQUENCE_EXHAUSTED', `records of ${this.#origin} go on as incarnation ${incarnation}`);
    return { incarnation, sequence: 1 };
  }
}
