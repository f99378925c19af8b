import { CodedError } from '#control/coded-error.ts';
import { LineReader } from '#io/control-client/line-reader.ts';
import { parseSessionLine, snapshotLine } from '#io/control-https/session-lines.ts';
import { check, checkSame, type FuzzTarget, textOf, utf8 } from '../fuzz-target.ts';

const LIMIT_CHARS = 2_000;

/** What a node reads from its session: cut into lines of bounded length, each parsed or refused. */
export const sessionLine: FuzzTarget = {
  name: 'session-line',
  corpus: () => [
    utf8('{"type":"beat"}\n{"type":"later","x":[1,2,{}]}\n'),
    utf8('{"type":"request","id":"7","op":"path","args":{"to":"rome"}}\n'),
    utf8(
      snapshotLine(
        {
          header: {
            version: 3,
            bodyHash: new Uint8Array(32),
            issuedAtMs: 1_800_000_000_000,
            signerHash: new Uint8Array(32),
            signature: new Uint8Array(64),
          },
          body: new Uint8Array(50),
          signer: new Uint8Array(50),
        },
        true,
      ),
    ),
  ],
  run(input) {
    const whole = linesOf([input]);
    const at = input.byteLength >> 1;
    checkSame(linesOf([input.subarray(0, at), input.subarray(at)]), whole, 'cut');
    if (whole !== undefined) checkSame(whole, textOf(input).split('\n').slice(0, -1), 'lines');
    const parsed = (whole ?? []).map((line) => parseSessionLine(line));
    return parsed.length > 0 && parsed.every(({ ok }) => ok);
  },
};

function linesOf(chunks: readonly Uint8Array[]): readonly string[] | undefined {
  const reader = new LineReader(LIMIT_CHARS);
  try {
    const lines = chunks.flatMap((chunk) => reader.push(chunk));
    check(
      lines.every(({ length }) => length <= LIMIT_CHARS),
      'bounded',
    );
    return lines;
  } catch (error) {
    if (error instanceof CodedError) return undefined;
    throw error;
  }
}
