import type { Kysely, Transaction } from 'kysely';
import type { AuditBody, AuditCheckpoint, AuditEntry, AuditHead } from '#control/audit/chain.ts';
import type { AuditSigner, AuditStore } from '#control/audit/store.ts';
import type { AuditEntryRow } from '#io/store-kysely/audit-tables.ts';
import { withFirstChange } from '#io/store-kysely/noted.ts';
import type { Tables } from '#io/store-kysely/tables.ts';
import { transact } from '#io/store-kysely/transact.ts';

/** The log in SQLite or PostgreSQL. Who appends writes the head's row first, so replicas append one after another. */
export class KyselyAuditStore implements AuditStore {
  readonly #database: Kysely<Tables>;

  /** The handle stays the caller's, who closes it. */
  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async append(make: (head: AuditHead) => readonly AuditEntry[], hashOf: (entry: AuditEntry) => string): Promise<void> {
    await transact(this.#database, async (on) => appendOn(on, make, hashOf));
  }

  async appendWith<T>(
    make: (head: AuditHead) => readonly AuditEntry[],
    hashOf: (entry: AuditEntry) => string,
    work: () => Promise<T>,
  ): Promise<{ readonly value: T; readonly isWritten: boolean }> {
    return await withFirstChange(async (on) => appendOn(on, make, hashOf), work);
  }

  async head(): Promise<AuditHead> {
    return await this.#database.selectFrom('audit_head').select(['seq', 'hash']).executeTakeFirstOrThrow();
  }

  async list(afterSeq: number, limit: number): Promise<readonly AuditEntry[]> {
    const rows = await this.#database
      .selectFrom('audit_entries')
      .selectAll()
      .where('seq', '>', afterSeq)
      .orderBy('seq')
      .limit(limit)
      .execute();
    return rows.map(toEntry);
  }

  async putCheckpoint(checkpoint: AuditCheckpoint, { signer, issuer }: AuditSigner): Promise<void> {
    const { seq, hash, atMs, signerHash, signature } = checkpoint;
    await transact(this.#database, async (on) => {
      await on
        .insertInto('audit_signers')
        .values({ hash: signerHash, signer: signer.toBase64(), issuer: issuer.toBase64() })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      await on
        .insertInto('audit_checkpoints')
        .values({ seq, hash, at_ms: atMs, signer_hash: signerHash, signature: signature.toBase64() })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    });
  }

  async lastCheckpoint(): Promise<AuditCheckpoint | undefined> {
    const row = await this.#database
      .selectFrom('audit_checkpoints')
      .selectAll()
      .orderBy('seq', 'desc')
      .limit(1)
      .executeTakeFirst();
    return row === undefined ? undefined : toCheckpoint(row);
  }

  async listCheckpoints(afterSeq: number, limit: number): Promise<readonly (AuditCheckpoint & AuditSigner)[]> {
    const rows = await this.#database
      .selectFrom('audit_checkpoints')
      .innerJoin('audit_signers', 'audit_signers.hash', 'audit_checkpoints.signer_hash')
      .selectAll('audit_checkpoints')
      .select(['audit_signers.signer', 'audit_signers.issuer'])
      .where('seq', '>', afterSeq)
      .orderBy('seq')
      .limit(limit)
      .execute();
    return rows.map((row) => ({
      ...toCheckpoint(row),
      signer: Uint8Array.fromBase64(row.signer),
      issuer: Uint8Array.fromBase64(row.issuer),
    }));
  }
}

async function appendOn(
  on: Transaction<Tables>,
  make: (head: AuditHead) => readonly AuditEntry[],
  hashOf: (entry: AuditEntry) => string,
): Promise<void> {
  const head = await on
    .updateTable('audit_head')
    .set((set) => ({ seq: set.ref('seq') }))
    .where('id', '=', 1)
    .returning(['seq', 'hash'])
    .executeTakeFirstOrThrow();
  const entries = make(head);
  const last = entries.at(-1);
  if (last === undefined) return;
  await on.insertInto('audit_entries').values(entries.map(toRow)).execute();
  await on
    .updateTable('audit_head')
    .set({ seq: last.seq, hash: hashOf(last) })
    .where('id', '=', 1)
    .execute();
}

function toRow({ seq, previousHash, bodyHash, body }: AuditEntry): AuditEntryRow {
  return { seq, previous_hash: previousHash, body_hash: bodyHash, body: JSON.stringify(body) };
}

function toEntry({ seq, previous_hash, body_hash, body }: AuditEntryRow): AuditEntry {
  return { seq, previousHash: previous_hash, bodyHash: body_hash, body: JSON.parse(body) as AuditBody };
}

function toCheckpoint(row: Tables['audit_checkpoints']): AuditCheckpoint {
  return {
    seq: row.seq,
    hash: row.hash,
    atMs: row.at_ms,
    signerHash: row.signer_hash,
    signature: Uint8Array.fromBase64(row.signature),
  };
}
