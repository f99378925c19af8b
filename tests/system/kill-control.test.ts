import { afterAll, describe, expect, test } from 'vitest';
import { SeededRandom } from '#kernel/random.ts';
import { killControl } from '../chaos/control-kills.ts';
import { PostgresDatabases } from '../harness/databases.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';

const postgres = new PostgresDatabases();
const KILLS = 5;

describe.skipIf(SYSTEM_MISSING !== undefined)('a control plane that is killed at any moment', () => {
  afterAll(async () => postgres.stop());

  test.each(['SQLite', 'PostgreSQL'])('loses no acknowledged write and none of its log: %s', async (name) => {
    const databaseUrl = name === 'SQLite' ? undefined : await postgres.create();
    const report = await killControl({ kills: KILLS, databaseUrl, random: new SeededRandom(4) });
    process.stdout.write(`${name}: ${JSON.stringify(report)}\n`);
    expect(report.kills).toBe(KILLS);
    expect(report.acknowledged).toBeGreaterThan(KILLS);
  });
});
