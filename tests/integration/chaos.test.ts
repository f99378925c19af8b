import { expect, test } from 'vitest';
import { SeededRandom } from '#kernel/random.ts';
import { dealKinds, runCampaign } from '../chaos/campaign.ts';
import { FAULT_KINDS, PROCESS_FAULTS } from '../chaos/faults.ts';
import { DIAMOND } from '../chaos/topologies.ts';

test('streams go on, byte for byte, while relays on their way are killed and frozen', async () => {
  const { events, report, moves } = await runCampaign({
    topology: DIAMOND,
    kinds: dealKinds(PROCESS_FAULTS, 4, new SeededRandom(2)),
    streams: 4,
    seed: 2,
    isLocal: true,
  });
  expect(new Set(events.map(({ kind }) => kind))).toEqual(new Set(PROCESS_FAULTS));
  expect(report).toMatchObject({ broken: [], wrong: 0, finished: 4 });
  expect(moves).toBeGreaterThan(0);
}, 90_000);

test('a few faults are of different kinds, and many of all kinds equally often', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const dealt = dealKinds(FAULT_KINDS, 3 * FAULT_KINDS.length + 2, new SeededRandom(seed));
    for (let count = 1; count <= dealt.length; count++)
      expect(new Set(dealt.slice(0, count)).size).toBe(Math.min(count, FAULT_KINDS.length));
    const counts = FAULT_KINDS.map((kind) => dealt.filter((each) => each === kind).length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  }
});
