import { concatBytes } from '#kernel/bytes.ts';
import { encodeFrame, FrameType, MAX_DATA_BYTES } from '#mesh/mux/frame.ts';
import { FrameParser } from '#mesh/mux/frame-parser.ts';
import { check, checkSame, type FuzzTarget } from '../fuzz-target.ts';

interface Parsed {
  readonly frames: [number, number, string][];
  readonly malformed: string[];
}

/** Frames are read the same however the transport cuts them, and at most once malformed. */
export const frames: FuzzTarget = {
  name: 'frames',
  corpus: () => [
    concatBytes([
      encodeFrame(FrameType.open, 1, new Uint8Array(20)),
      encodeFrame(FrameType.data, 1, new Uint8Array(300)),
      encodeFrame(FrameType.fin, 1, new Uint8Array()),
    ]),
    encodeFrame(FrameType.ping, 0, new Uint8Array(8)),
  ],
  run(input) {
    const whole = parse([input]);
    const half = input.byteLength >> 1;
    const cuts = [input.subarray(0, 1), input.subarray(1, half), input.subarray(Math.max(1, half))];
    checkSame(parse(cuts), whole, 'cut');
    check(whole.malformed.length <= 1, 'nothing is read after malformed bytes');
    return whole.malformed.length === 0;
  },
};

function parse(chunks: readonly Uint8Array[]): Parsed {
  const parsed: Parsed = { frames: [], malformed: [] };
  const parser = new FrameParser({
    handleFrame: (type, id, payload) => parsed.frames.push([type, id, payload.toHex()]),
    handleData: (id, bytes) => {
      check(bytes.byteLength <= MAX_DATA_BYTES, 'a piece is no longer than a frame');
      const last = parsed.frames.at(-1);
      if (last?.[0] === FrameType.data && last[1] === id) last[2] += bytes.toHex();
      else parsed.frames.push([FrameType.data, id, bytes.toHex()]);
    },
    handleMalformed: (code) => parsed.malformed.push(code),
  });
  for (const chunk of chunks) parser.handleBytes(chunk);
  return parsed;
}
