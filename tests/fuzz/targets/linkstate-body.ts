import { decodeBody, encodeBody } from '#mesh/linkstate/body.ts';
import { MAX_NEIGHBOURS } from '#mesh/linkstate/limits.ts';
import { check, checkSame, type FuzzTarget } from '../fuzz-target.ts';

export const linkstateBody: FuzzTarget = {
  name: 'linkstate-body',
  corpus: () =>
    [0, 3, 200].map((count) => {
      const neighbours = new Map(Array.from({ length: count }, (_, index) => [`n${index}`, index + 1]));
      return encodeBody({ neighbours, relay: count > 0, draining: false, issuedAtMs: 1_800_000_000_000 });
    }),
  run(input) {
    const read = decodeBody(input, 'rome');
    if (!read.ok) return false;
    check(read.value.neighbours.size <= MAX_NEIGHBOURS && !read.value.neighbours.has('rome'), 'bounded, not itself');
    checkSame(decodeBody(encodeBody(read.value), 'rome'), read, 'again');
    return true;
  },
};
