import { describeAccountStore } from '../../../tests/fixtures/accounts-store-suite.ts';
import { SQLITE } from '../../../tests/harness/databases.ts';

describeAccountStore(SQLITE);
