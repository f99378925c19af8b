import { describeLeases } from '../../../tests/fixtures/lease-suite.ts';
import { SQLITE } from '../../../tests/harness/databases.ts';

describeLeases(SQLITE);
