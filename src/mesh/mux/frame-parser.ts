import { FrameType, HEADER_BYTES, largestPayload } from '#mesh/mux/frame.ts';

/** What the parser reads out of the bytes. DATA comes in the pieces in which it arrived; all else comes whole. */
export interface FrameSink {
  handleFrame(type: FrameType, streamId: number, payload: Uint8Array): void;
  /** `bytes` is a view of the chunk that was handed to the parser. */
  handleData(streamId: number, bytes: Uint8Array): void;
  /** The bytes are not our protocol; the parser reads nothing after this. */
  handleMalformed(code: string): void;
}

/**
 * Cuts a byte stream into frames. A header is read, then its payload; DATA is passed on uncopied as it arrives,
 * so that a relay forwards before a frame is complete. Holds at most one header and one control payload.
 */
export class FrameParser {
  readonly #sink: FrameSink;
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  #type: FrameType = FrameType.hello;
  #streamId = 0;
  #remaining = 0;
  #payload: Uint8Array | undefined;
  #payloadBytes = 0;
  #stopped = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Reads all of `chunk`; the views handed to the sink keep it alive. */
  handleBytes(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.byteLength && !this.#stopped) {
      offset = this.#headerBytes < HEADER_BYTES ? this.#readHeader(chunk, offset) : this.#readPayload(chunk, offset);
    }
  }

  /** Ignores everything from here on. */
  stop(): void {
    this.#stopped = true;
    this.#payload = undefined;
  }

  #readHeader(chunk: Uint8Array, offset: number): number {
    const taken = Math.min(HEADER_BYTES - this.#headerBytes, chunk.byteLength - offset);
    for (let i = 0; i < taken; i++) this.#header[this.#headerBytes + i] = chunk[offset + i] ?? 0;
    this.#headerBytes += taken;
    if (this.#headerBytes === HEADER_BYTES) this.#beginFrame();
    return offset + taken;
  }

  #beginFrame(): void {
    const h = this.#header;
    const type = h[0] ?? 0;
    const length = ((h[1] ?? 0) << 16) | ((h[2] ?? 0) << 8) | (h[3] ?? 0);
    const largest = largestPayload(type);
    if (largest === undefined) return this.#malformed('FRAME_UNKNOWN_TYPE');
    if (length > largest) return this.#malformed('FRAME_TOO_BIG');
    this.#type = type as FrameType;
    this.#streamId = (((h[4] ?? 0) << 24) | ((h[5] ?? 0) << 16) | ((h[6] ?? 0) << 8) | (h[7] ?? 0)) >>> 0;
    this.#remaining = length;
    if (type !== FrameType.data) {
      this.#payload = new Uint8Array(length);
      this.#payloadBytes = 0;
    }
    if (length === 0) this.#endFrame();
  }

  #readPayload(chunk: Uint8Array, offset: number): number {
    const taken = Math.min(this.#remaining, chunk.byteLength - offset);
    const bytes = taken === chunk.byteLength ? chunk : chunk.subarray(offset, offset + taken);
    this.#remaining -= taken;
    if (this.#payload === undefined) {
      this.#sink.handleData(this.#streamId, bytes);
    } else {
      this.#payload.set(bytes, this.#payloadBytes);
      this.#payloadBytes += taken;
    }
    if (this.#remaining === 0) this.#endFrame();
    return offset + taken;
  }

  #endFrame(): void {
    const payload = this.#payload;
    this.#headerBytes = 0;
    this.#payload = undefined;
    if (payload !== undefined && !this.#stopped) this.#sink.handleFrame(this.#type, this.#streamId, payload);
  }

  #malformed(code: string): void {
    this.stop();
    this.#sink.handleMalformed(code);
  }
}
