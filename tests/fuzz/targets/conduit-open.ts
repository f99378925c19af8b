import {
  decodeConduitAttach,
  decodeConduitOpen,
  decodeConduitPosition,
  encodeConduitAttach,
  encodeConduitOpen,
  encodeConduitPosition,
} from '#mesh/conduit/conduit-open.ts';
import { decodeAck, encodeAck } from '#mesh/mux/frame.ts';
import { check, checkSame, type FuzzTarget } from '../fuzz-target.ts';

const id = '0123456789abcdef0123456789abcdef';

export const conduitOpen: FuzzTarget = {
  name: 'conduit-open',
  corpus: () => [
    encodeConduitOpen({ id, attempt: 1, incarnation: 1_800_000_000_000, service: 'hello' }),
    encodeConduitAttach({ id, attempt: 2 ** 31, received: Number.MAX_SAFE_INTEGER, fin: true }),
    encodeConduitPosition({ received: 0, fin: false }),
    encodeAck({ received: 2 ** 40, fin: true, done: true }),
  ],
  run(input) {
    const open = decodeConduitOpen(input);
    if (open !== undefined) {
      check(/^[a-z0-9-]{1,63}$/.test(open.service), 'a name');
      checkSame(decodeConduitOpen(encodeConduitOpen(open)), open, 'again');
    }
    const attach = decodeConduitAttach(input);
    if (attach !== undefined) {
      check(/^[0-9a-f]{32}$/.test(attach.id), 'an id');
      checkSame(decodeConduitAttach(encodeConduitAttach(attach)), attach, 'again');
    }
    const position = decodeConduitPosition(input);
    if (position !== undefined) checkSame(decodeConduitPosition(encodeConduitPosition(position)), position, 'again');
    const ack = decodeAck(input);
    if (ack !== undefined) checkSame(decodeAck(encodeAck(ack)), ack, 'again');
    return [open, attach, position, ack].some((each) => each !== undefined);
  },
};
