import type { SeededRandom } from '#kernel/random.ts';
import { FrameType, HEADER_BYTES } from '#mesh/mux/frame.ts';
import type { Tunnel } from '#mesh/node/tunnel.ts';
import type { Tamper } from '../host/links.ts';

/** What a lying relay does to the circuits that run through it. */
type Lie = 'flip' | 'drop' | 'swap';
export const LIES: readonly Lie[] = ['flip', 'drop', 'swap'];

/** Of the frames of circuits, how many are touched. */
const LIE_SHARE = 0.3;

/** Stands before the node of a lying relay: frames of the circuits that it forwards are changed, all others pass. */
export class LyingRelay implements Tamper {
  readonly #random: SeededRandom;
  readonly #rests = new Map<Tunnel, Uint8Array>();
  /** Undefined: it is honest for now. */
  lie: Lie | undefined;
  liesTold = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  handleBytes(tunnel: Tunnel, chunk: Uint8Array): readonly Uint8Array[] {
    let bytes = join(this.#rests.get(tunnel), chunk);
    this.#rests.delete(tunnel);
    const frames: Uint8Array[] = [];
    while (bytes.byteLength >= HEADER_BYTES) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const end = HEADER_BYTES + (view.getUint32(0) & 0xff_ffff);
      if (bytes.byteLength < end) break;
      const frame = this.#judge(tunnel, bytes.slice(0, end));
      if (frame !== undefined) frames.push(frame);
      bytes = bytes.subarray(end);
    }
    if (bytes.byteLength > 0) this.#rests.set(tunnel, bytes);
    return frames;
  }

  #judge(tunnel: Tunnel, frame: Uint8Array): Uint8Array | undefined {
    const { lie } = this;
    if (lie === undefined || frame[0] !== FrameType.data || frame.byteLength <= HEADER_BYTES) return frame;
    if (!isRelayed(tunnel, frame) || this.#random.fraction() >= LIE_SHARE) return frame;
    this.liesTold++;
    if (lie === 'drop') return undefined;
    const length = frame.byteLength - HEADER_BYTES;
    const at = HEADER_BYTES + (this.#random.word() % length);
    if (lie === 'flip') frame[at] = (frame[at] ?? 0) ^ (1 << (this.#random.word() % 8));
    else frame.subarray(HEADER_BYTES).reverse();
    return frame;
  }
}

function isRelayed(tunnel: Tunnel, frame: Uint8Array): boolean {
  const id = new DataView(frame.buffer, frame.byteOffset, frame.byteLength).getUint32(4);
  for (const stream of tunnel.mux.streams()) if (stream.id === id) return stream.owner?.kind === 'relay';
  return false;
}

function join(rest: Uint8Array | undefined, chunk: Uint8Array): Uint8Array {
  if (rest === undefined) return chunk;
  const both = new Uint8Array(rest.byteLength + chunk.byteLength);
  both.set(rest);
  both.set(chunk, rest.byteLength);
  return both;
}
