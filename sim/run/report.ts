import { formatFault } from '../faults/fault.ts';
import { drawFlow } from '../trace/flow-diagram.ts';
import { runSeed, type SeedResult } from './run-seed.ts';

/** Further violations of one run follow from the first ones. */
const MAX_SHOWN = 5;

/** What broke in a run: runs it again, recording, and draws the last events around the first victim. */
export function describeFailure(seed: number): string {
  const result = runSeed({ seed, isRecording: true });
  const [first] = result.violations;
  if (first === undefined) return `seed ${seed}: did not fail again: the simulator is not deterministic`;
  const names = first.names.length > 0 ? first.names : result.mesh.members.map(({ name }) => name);
  const until = result.events.filter(({ atMs }) => atMs <= first.atMs);
  return [
    `seed ${seed} FAILED (npm run sim -- --seed ${seed} --trace)`,
    describeMesh(result),
    ...result.violations
      .slice(0, MAX_SHOWN)
      .map(({ atMs, code, detail }) => `  ${(atMs / 1000).toFixed(3)} s ${code}: ${detail}`),
    ...(result.violations.length > MAX_SHOWN ? [`  and ${result.violations.length - MAX_SHOWN} more`] : []),
    drawFlow(until, names),
  ].join('\n');
}

/** The mesh and the schedule of faults of a run. */
export function describeMesh({ mesh, faults }: SeedResult): string {
  const links = mesh.links?.map((pair) => pair.join('–')).join(' ') ?? 'found by the nodes themselves';
  const members = mesh.members.map(
    ({ name, relay, dialsOnly = false }) => name + (relay ? '' : ' (no relay)') + (dialsOnly ? ' (dials only)' : ''),
  );
  return [
    `  ${mesh.shape} of ${mesh.members.length}: ${members.join(', ')}`,
    `  links: ${links}`,
    ...faults.map((fault) => `  ${formatFault(fault)}`),
  ].join('\n');
}
