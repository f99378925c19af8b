import type { ControlTables } from '#io/store-kysely/control-tables.ts';

/** All tables, as both databases hold them: times are Unix milliseconds, flags 0 or 1, lists and maps JSON. */
export interface Tables extends ControlTables {}
