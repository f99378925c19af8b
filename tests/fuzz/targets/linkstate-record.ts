import { attachSignature, encodeUnsigned, parseRecord } from '#mesh/linkstate/record.ts';
import { checkSame, type FuzzTarget } from '../fuzz-target.ts';

export const linkstateRecord: FuzzTarget = {
  name: 'linkstate-record',
  corpus: () =>
    [0, 100].map((bodyBytes) => {
      const body = new Uint8Array(bodyBytes).fill(7);
      const fields = { origin: 'rome', incarnation: 9, sequence: 3, certificateHash: new Uint8Array(32), body };
      return attachSignature(encodeUnsigned(fields), new Uint8Array(64));
    }),
  run(input) {
    const read = parseRecord(input);
    if (!read.ok) return false;
    const certificateHash = Uint8Array.fromHex(read.value.certificateHash);
    checkSame(
      attachSignature(encodeUnsigned({ ...read.value, certificateHash }), read.value.signature),
      input,
      'again',
    );
    return true;
  },
};
