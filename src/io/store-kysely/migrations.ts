import type { Migration } from 'kysely/migration';
import { controlMigration } from '#io/store-kysely/migrations/0001-control.ts';
import { accountsMigration } from '#io/store-kysely/migrations/0002-accounts.ts';
import { policiesMigration } from '#io/store-kysely/migrations/0003-policies.ts';
import { auditMigration } from '#io/store-kysely/migrations/0004-audit.ts';
import { replicasMigration } from '#io/store-kysely/migrations/0005-replicas.ts';
import { holdersMigration } from '#io/store-kysely/migrations/0006-holders.ts';
import { approvalsMigration } from '#io/store-kysely/migrations/0007-approvals.ts';

/** In order of their names, and never changed once released; a database that holds another one is of a newer x0. */
export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001-control': controlMigration,
  '0002-accounts': accountsMigration,
  '0003-policies': policiesMigration,
  '0004-audit': auditMigration,
  '0005-replicas': replicasMigration,
  '0006-holders': holdersMigration,
  '0007-approvals': approvalsMigration,
};
