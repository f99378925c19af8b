import { describeJoinRequests } from '../../../tests/fixtures/join-request-suite.ts';
import { SQLITE } from '../../../tests/harness/databases.ts';

describeJoinRequests(SQLITE);
