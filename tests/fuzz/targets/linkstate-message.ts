import { encodeMessage, type Message, parseMessage } from '#mesh/linkstate/messages.ts';
import { checkSame, type FuzzTarget } from '../fuzz-target.ts';

const HASH = 'ab'.repeat(32);
const MESSAGES: readonly Message[] = [
  { kind: 'summary', hash: HASH },
  { kind: 'digest', entries: [{ origin: 'rome', incarnation: 3, sequence: 4, hash: HASH }] },
  { kind: 'request', origins: ['rome', 'oslo'] },
  { kind: 'record', record: new Uint8Array(40) },
  { kind: 'certificate-request', hashes: [HASH, HASH] },
  { kind: 'certificate', der: new Uint8Array(40) },
];

export const linkstateMessage: FuzzTarget = {
  name: 'linkstate-message',
  corpus: () => MESSAGES.map((message) => encodeMessage(message)),
  run(input) {
    const read = parseMessage(input);
    if (read.ok) checkSame(encodeMessage(read.value), input, 'again');
    return read.ok;
  },
};
