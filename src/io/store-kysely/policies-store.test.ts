import { describePolicyStore } from '../../../tests/fixtures/policy-store-suite.ts';
import { SQLITE } from '../../../tests/harness/databases.ts';

describePolicyStore(SQLITE);
