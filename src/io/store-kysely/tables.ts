import type { AccountTables } from '#io/store-kysely/account-tables.ts';
import type { AuditTables } from '#io/store-kysely/audit-tables.ts';
import type { ControlTables } from '#io/store-kysely/control-tables.ts';
import type { PolicyTables } from '#io/store-kysely/policy-tables.ts';
import type { ReplicaTables } from '#io/store-kysely/replica-tables.ts';

/** All tables, as both databases hold them: times are Unix milliseconds, flags 0 or 1, lists and maps JSON. */
export interface Tables extends AccountTables, AuditTables, ControlTables, PolicyTables, ReplicaTables {}
