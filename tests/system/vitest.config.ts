import { defineConfig } from 'vitest/config';

/** Tests that need root, network namespaces and Debian packages: one at a time, each starts whole meshes. */
export default defineConfig({
  test: {
    include: ['tests/system/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 1,
    fileParallelism: false,
    passWithNoTests: false,
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
});
