import { concatBytes } from '#kernel/bytes.ts';
import { delimitMessage, MessageReader } from '#mesh/node/message-reader.ts';
import { check, checkSame, type FuzzTarget } from '../fuzz-target.ts';

const LIMIT_BYTES = 1_000;

export const messageReader: FuzzTarget = {
  name: 'message-reader',
  corpus: () => [concatBytes([0, 1, 200, 1_000].map((bytes) => delimitMessage(new Uint8Array(bytes).fill(3))))],
  run(input) {
    const whole = read([input]);
    const at = input.byteLength >> 1;
    checkSame(read([input.subarray(0, at), input.subarray(at)]), whole, 'cut');
    check(
      whole.messages.every(({ byteLength }) => byteLength <= LIMIT_BYTES),
      'bounded',
    );
    check(whole.isReadable === staysWithin(input), 'a length over the limit, and only that, ends the reading');
    return whole.isReadable;
  },
};

/** What the reader must find out, from the whole at once. */
function staysWithin(input: Uint8Array): boolean {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  for (let at = 0; at + 4 <= input.byteLength; at += 4 + view.getUint32(at)) {
    if (view.getUint32(at) > LIMIT_BYTES) return false;
  }
  return true;
}

function read(chunks: readonly Uint8Array[]): { readonly messages: Uint8Array[]; readonly isReadable: boolean } {
  const reader = new MessageReader(LIMIT_BYTES);
  const messages: Uint8Array[] = [];
  const isReadable = chunks.every((chunk) => reader.handleBytes(chunk, (message) => messages.push(message)));
  return { messages, isReadable };
}
