import { describeAuditStore } from '../../../tests/fixtures/audit-store-suite.ts';
import { SQLITE } from '../../../tests/harness/databases.ts';

describeAuditStore(SQLITE);
