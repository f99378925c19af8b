import { decodeStreamOpen, encodeStreamOpen } from '#mesh/node/services.ts';
import { check, type FuzzTarget } from '../fuzz-target.ts';

export const streamOpen: FuzzTarget = {
  name: 'stream-open',
  corpus: () => [encodeStreamOpen('hello'), encodeStreamOpen('a'.repeat(63))],
  run(input) {
    const service = decodeStreamOpen(input);
    if (service === undefined) return false;
    check(/^[a-z0-9-]{1,63}$/.test(service), 'a name');
    check(decodeStreamOpen(encodeStreamOpen(service)) === service, 'again');
    return true;
  },
};
