import { CodedError } from '#control/coded-error.ts';
import type { AuditNote, ChangeAudit } from '#control/audit/audit.ts';
import { chainNotes, checkpointMessage, entryHash } from '#control/audit/chain.ts';
import type { AuditStore } from '#control/audit/store.ts';
import type { HashPort, SigningPort, WallClock } from '#control/ports.ts';

/** Whose certificate the signing port has. */
export interface AuditSigningPort extends SigningPort {
  /** DER of the certificate that signed the signer's. */
  readonly issuer: Uint8Array;
}

export interface AuditLogPorts extends HashPort {
  readonly store: AuditStore;
  readonly wallMs: WallClock;
  readonly signer: () => AuditSigningPort;
}

/** A cut log is found out at this many entries, or this long after the last one. */
export const CHECKPOINT_ENTRIES = 100;
export const CHECKPOINT_AGE_MS = 60_000;
/** Notes that wait for the database; a second or two of the worst flood. */
const WAITING_LIMIT = 10_000;
/** Notes of one step. */
const BATCH_LIMIT = 200;

interface Waiting {
  readonly note: AuditNote;
  readonly atMs: number;
  readonly settle: PromiseWithResolvers<void>;
}

/** The log of one replica: notes that come while one step is written go together in the next. */
export class AuditLog implements ChangeAudit {
  readonly #ports: AuditLogPorts;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;

  constructor(ports: AuditLogPorts) {
    this.#ports = ports;
  }

  async record(note: AuditNote): Promise<void> {
    if (this.#waiting.length >= WAITING_LIMIT)
      throw new CodedError('AUDIT_BUSY', 'too much is to be recorded at once; try again');
    const settle = Promise.withResolvers<void>();
    this.#waiting.push({ note, atMs: this.#ports.wallMs(), settle });
    this.#writing ??= this.#writeAll();
    await settle.promise;
  }

  async follow<T>(note: AuditNote, work: () => Promise<T>, isDone: (value: T) => boolean = () => true): Promise<T> {
    const { store, wallMs } = this.#ports;
    const { value, isWritten } = await store.appendWith(
      (head) => chainNotes([{ note, atMs: wallMs() }], head, this.#ports),
      (entry) => entryHash(entry, this.#ports),
      work,
    );
    if (!isWritten && isDone(value)) await this.record(note);
    return value;
  }

  /** Signs how far the log has come when that is due; false when it is not. */
  async checkpoint(): Promise<boolean> {
    const { store, wallMs, signer } = this.#ports;
    const [head, last] = [await store.head(), await store.lastCheckpoint()];
    const newEntries = head.seq - (last?.seq ?? 0);
    const isOld = last === undefined || wallMs() - last.atMs >= CHECKPOINT_AGE_MS;
    if (newEntries === 0 || !(newEntries >= CHECKPOINT_ENTRIES || isOld)) return false;
    const port = signer();
    const mark = { ...head, atMs: wallMs() };
    const signature = port.sign(checkpointMessage(mark));
    const signers = { signer: port.signerCertificate, issuer: port.issuer };
    await store.putCheckpoint({ ...mark, signerHash: port.signerHash.toHex(), signature }, signers);
    return true;
  }

  /** Resolves when nothing waits any more. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, BATCH_LIMIT);
      this.#waiting = this.#waiting.slice(BATCH_LIMIT);
      await this.#write(batch);
    }
    this.#writing = undefined;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    const { store } = this.#ports;
    try {
      await store.append(
        (head) => chainNotes(batch, head, this.#ports),
        (entry) => entryHash(entry, this.#ports),
      );
      for (const { settle } of batch) settle.resolve();
    } catch (error) {
      for (const { settle } of batch) settle.reject(error);
    }
  }
}
