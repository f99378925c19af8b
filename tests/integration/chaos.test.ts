import { expect, test } from 'vitest';
import { runCampaign } from '../chaos/campaign.ts';
import { PROCESS_FAULTS } from '../chaos/faults.ts';
import { DIAMOND } from '../chaos/topologies.ts';

test('streams go on, byte for byte, while relays on their way are killed and frozen', async () => {
  const { events, report, moves } = await runCampaign({
    topology: DIAMOND,
    kinds: PROCESS_FAULTS,
    faults: 4,
    streams: 4,
    seed: 2,
    isLocal: true,
  });
  expect(new Set(events.map(({ kind }) => kind))).toEqual(new Set(PROCESS_FAULTS));
  expect(report).toMatchObject({ broken: [], wrong: 0, finished: 4 });
  expect(moves).toBeGreaterThan(0);
}, 90_000);
