import { describeApprovals } from '../fixtures/approvals-suite.ts';

describeApprovals({ name: 'SQLite', url: async () => undefined, stop: async () => undefined });
