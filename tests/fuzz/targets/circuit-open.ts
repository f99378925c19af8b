import { decideCircuit, decodeCircuitOpen, encodeCircuitOpen, MAX_REMAINING_HOPS } from '#mesh/circuit/circuit-open.ts';
import { check, checkSame, type FuzzTarget } from '../fuzz-target.ts';

export const circuitOpen: FuzzTarget = {
  name: 'circuit-open',
  corpus: () => [[], ['lima'], ['a', 'b', 'c', 'd', 'e', 'f', 'g']].map((hops) => encodeCircuitOpen(hops)),
  run(input) {
    const read = decodeCircuitOpen(input);
    if (!read.ok) return false;
    check(read.value.length <= MAX_REMAINING_HOPS, 'bounded');
    checkSame(decodeCircuitOpen(encodeCircuitOpen(read.value)), read, 'again');
    const view = { self: 'rome', from: 'oslo', isRelay: true, hasLink: () => true, hasRoom: () => true };
    const next = decideCircuit(read.value, view);
    check(!next.ok || (next.value !== 'rome' && next.value !== 'oslo'), 'no loop');
    return true;
  },
};
