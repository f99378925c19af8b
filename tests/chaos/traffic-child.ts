/**
 * Byte-exact traffic in a process of its own: `serve` echoes, `run` keeps streams open, writes to each at a steady pace, and checks every
 * byte that comes back against its stream and offset.
 */
import { connect, createServer, type Socket } from 'node:net';
import { type Gap, now } from './gaps.ts';

export type TrafficOrder =
  | { readonly order: 'serve'; readonly port: number }
  | { readonly order: 'run'; readonly port: number; readonly streams: number }
  | { readonly order: 'finish' };

export interface TrafficReport {
  readonly streams: number;
  readonly bytes: number;
  /** Streams that ended although nobody ended them. */
  readonly broken: readonly string[];
  /** Bytes that were not those that were sent. */
  readonly wrong: number;
  /** Streams whose last byte came back. */
  readonly finished: number;
  readonly gaps: readonly Gap[];
}

const OPTIONS = { noDelay: true, allowHalfOpen: true };
/** Each stream sends this much every tick: 0.8 MB/s, small enough for nine nodes and eight streams on two cores. */
const PIECE_BYTES = 8_192;
const TICK_MS = 10;
/** What is written and not yet back; beyond this the writer waits. */
const AHEAD_BYTES = 65_536;
/** Shorter waits are the machine's. */
const NOTED_GAP_MS = 40;

class CheckedStream {
  readonly index: number;
  readonly socket: Socket;
  sent = 0;
  received = 0;
  wrong = 0;
  failure: string | undefined;
  isFinished = false;
  readonly gaps: Gap[] = [];
  #lastMs = now();
  #isFinishing = false;

  constructor(index: number, port: number) {
    this.index = index;
    this.socket = connect({ ...OPTIONS, host: '127.0.0.1', port });
    this.socket.on('data', (chunk: Buffer) => this.#check(chunk));
    this.socket.on('error', (error) => this.#fail(error.message));
    this.socket.on('end', () => {
      this.isFinished = this.#isFinishing && this.received === this.sent;
      if (!this.isFinished) this.#fail(`ended after ${this.received} of ${this.sent} bytes`);
    });
  }

  tick(): void {
    if (this.#isFinishing || this.failure !== undefined || this.sent - this.received >= AHEAD_BYTES) return;
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    for (let i = 0; i < PIECE_BYTES; i++) piece[i] = byteAt(this.index, this.sent + i);
    this.sent += PIECE_BYTES;
    this.socket.write(piece);
  }

  finish(): void {
    this.#isFinishing = true;
    this.socket.end();
  }

  #check(chunk: Buffer): void {
    const atMs = now();
    const gapMs = atMs - this.#lastMs;
    if (gapMs >= NOTED_GAP_MS) this.gaps.push({ fromMs: this.#lastMs, gapMs });
    this.#lastMs = atMs;
    for (const [i, byte] of chunk.entries()) if (byte !== byteAt(this.index, this.received + i)) this.wrong++;
    this.received += chunk.byteLength;
  }

  #fail(why: string): void {
    this.failure ??= `stream ${this.index}: ${why}`;
    this.socket.destroy();
  }
}

/** Differs between streams, and between any two offsets that a repetition or a loss could confuse. */
function byteAt(stream: number, offset: number): number {
  const mixed = Math.imul(offset ^ Math.imul(stream + 1, 0x9e3779b1), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13) ^ (offset >>> 8)) & 0xff;
}

const streams: CheckedStream[] = [];

async function run(port: number, count: number): Promise<void> {
  for (let index = 0; index < count; index++) streams.push(new CheckedStream(index, port));
  await Promise.all(
    streams.map(async ({ socket }) => new Promise((resolve) => socket.once('connect', resolve).once('close', resolve))),
  );
  setInterval(() => {
    for (const stream of streams) stream.tick();
  }, TICK_MS);
  process.send?.('running');
}

async function finish(): Promise<void> {
  await Promise.all(
    streams.map(async (stream) => {
      const ended = new Promise((resolve) => stream.socket.once('close', resolve));
      stream.finish();
      if (!stream.socket.closed) await ended;
    }),
  );
  const report: TrafficReport = {
    streams: streams.length,
    bytes: streams.reduce((sum, { received }) => sum + received, 0),
    broken: streams.flatMap(({ failure }) => failure ?? []),
    wrong: streams.reduce((sum, { wrong }) => sum + wrong, 0),
    finished: streams.filter(({ isFinished }) => isFinished).length,
    gaps: streams.flatMap(({ gaps }) => gaps),
  };
  process.send?.(report);
}

process.on('message', (order: TrafficOrder) => {
  if (order.order === 'run') void run(order.port, order.streams);
  else if (order.order === 'finish') void finish();
  else {
    createServer(OPTIONS, (socket) => {
      socket.on('error', () => socket.destroy());
      socket.pipe(socket);
    }).listen(order.port, '127.0.0.1', () => process.send?.('serving'));
  }
});
process.on('disconnect', () => process.exit(0));
