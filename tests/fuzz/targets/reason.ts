import { decodeReason, encodeReason } from '#mesh/mux/frame.ts';
import { check, checkSame, type FuzzTarget } from '../fuzz-target.ts';

export const reason: FuzzTarget = {
  name: 'reason',
  corpus: () => [encodeReason({ code: 'NO_PATH' }), encodeReason({ code: 'CIRCUIT_NO_LINK', hop: 'rome-2' })],
  run(input) {
    const read = decodeReason(input);
    check(/^[A-Z][A-Z0-9_]{0,63}$/.test(read.code) && (read.hop ?? '').length <= 63, 'bounded');
    checkSame(decodeReason(encodeReason(read)), read, 'again');
    return read.code !== 'UNREADABLE_REASON';
  },
};
