import type { Kysely } from 'kysely';
import type { Logger } from 'pino';
import type { AuditLog } from '#control/audit/audit-log.ts';
import { LEASE_RENEW_MS, LeaseKeeper } from '#control/lease/lease.ts';
import { deleteEnded } from '#io/store-kysely/housekeeping.ts';
import { KyselyLeaseStore } from '#io/store-kysely/lease-store.ts';
import type { Tables } from '#io/store-kysely/tables.ts';
import { REPLICA_LEASES } from './replicas.ts';

const LEASE = 'housekeeping';
/** How often it is looked whether the audit log is due for a checkpoint. */
const CHECKPOINT_CHECK_MS = 5_000;
/** How often rows that ended are deleted, and how many of a table at once. */
const DELETE_MS = 60_000;
const DELETE_LIMIT = 1_000;
const nowMs = (): number => performance.now();

export interface HousekeeperOptions {
  readonly database: Kysely<Tables>;
  readonly audit: AuditLog;
  readonly log: Logger;
  /** Of this replica. */
  readonly id: string;
}

/** What one replica does for all: it signs how far the audit log has come, and deletes what ended. Who holds the lease does it. */
export class Housekeeper {
  readonly #options: HousekeeperOptions;
  readonly #lease: LeaseKeeper;
  readonly #timer: NodeJS.Timeout;
  #isBusy = false;
  #hadLease = false;
  #checkpointDueMs = 0;
  #deleteDueMs = 0;

  constructor(options: HousekeeperOptions) {
    this.#options = options;
    const { database, id } = options;
    this.#lease = new LeaseKeeper({ store: new KyselyLeaseStore(database), name: LEASE, holder: id, nowMs });
    this.#timer = setInterval(() => void this.#tick(), LEASE_RENEW_MS).unref();
  }

  /** Lets another one follow at once. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    try {
      await this.#lease.release();
    } catch (error) {
      this.#options.log.warn({ err: error }, 'the lease of the housekeeping ends by itself');
    }
  }

  async #tick(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      await this.#lease.renew();
      this.#tell();
      if (this.#lease.epoch !== undefined) await this.#keepHouse(nowMs());
    } catch (error) {
      this.#options.log.error({ err: error }, 'the housekeeping failed; it is tried again');
    } finally {
      this.#isBusy = false;
    }
  }

  #tell(): void {
    const hasLease = this.#lease.epoch !== undefined;
    if (hasLease && !this.#hadLease) this.#options.log.info('this control plane keeps house');
    this.#hadLease = hasLease;
  }

  /** Two that did it at once, because one stood still, would do no harm: each step is one of the database. */
  async #keepHouse(atMs: number): Promise<void> {
    const { audit, database, log } = this.#options;
    if (atMs >= this.#checkpointDueMs) {
      this.#checkpointDueMs = atMs + CHECKPOINT_CHECK_MS;
      await audit.checkpoint();
    }
    if (atMs < this.#deleteDueMs) return;
    this.#deleteDueMs = atMs + DELETE_MS;
    const deleted = await deleteEnded(database, Date.now(), DELETE_LIMIT, REPLICA_LEASES);
    if (deleted > 0) log.info({ deleted }, 'rows that ended were deleted');
  }
}
