import { describe, expect, test } from 'vitest';
import { SeededRandom } from '#kernel/random.ts';
import { dealKinds, runCampaign } from '../chaos/campaign.ts';
import { CUTTING_FAULTS, FAULT_KINDS } from '../chaos/faults.ts';
import { TOPOLOGIES } from '../chaos/topologies.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';

const FAULTS = 9;
const STREAMS = 8;

describe.skipIf(SYSTEM_MISSING !== undefined)('streams whose ends stay up, with the control plane away', () => {
  test.each(TOPOLOGIES)(
    `in a $name lose, repeat and change no byte while ${FAULTS} faults hit the relays`,
    async (topology) => {
      const kinds = dealKinds(FAULT_KINDS, FAULTS, new SeededRandom(3));
      const plan = { topology, kinds, streams: STREAMS, seed: 3, isLocal: false };
      const { events, report, moves, gapsMs } = await runCampaign(plan);
      const lines = events.map(
        ({ kind, relay, position }, i) => `${kind} ${relay} (${position}) ${(gapsMs[i] ?? 0).toFixed(0)} ms`,
      );
      console.log(`${topology.name}: ${moves} moves, ${(report.bytes / 1e6).toFixed(0)} MB; gaps: ${lines.join(', ')}`);
      expect(events.filter(({ kind }) => CUTTING_FAULTS.includes(kind)).length).toBeGreaterThan(0);
      expect(report).toMatchObject({ broken: [], wrong: 0, finished: STREAMS });
      expect(report.bytes).toBeGreaterThan(1e6);
      expect(moves).toBeGreaterThan(0);
    },
    180_000,
  );
});
