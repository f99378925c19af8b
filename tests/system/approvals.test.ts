import { describe } from 'vitest';
import { describeApprovals } from '../fixtures/approvals-suite.ts';
import { PostgresDatabases } from '../harness/databases.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';

describe.skipIf(SYSTEM_MISSING !== undefined)('on a server', () => {
  const postgres = new PostgresDatabases();
  describeApprovals({
    name: 'PostgreSQL',
    url: async () => postgres.create(),
    stop: async () => postgres.stop(),
  });
});
