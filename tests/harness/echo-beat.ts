import type { Socket } from 'node:net';

/** Milliseconds between two questions. */
const PAUSE_MS = 2;

/** Asks an echo one number after the other, checks each answer, and notes the longest wait for one. */
export class EchoBeat {
  readonly #socket: Socket;
  readonly #ended = Promise.withResolvers<string>();
  #sent = 0;
  #askedMs = 0;
  #answer = Buffer.alloc(0);
  #isStopped = false;
  /** Answers that came. */
  count = 0;
  /** Answers that were not the question. */
  wrong = 0;
  longestMs = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#handle(chunk));
    socket.once('error', (error: NodeJS.ErrnoException) => this.#ended.resolve(error.code ?? error.message));
    socket.once('close', () => this.#ended.resolve('close'));
    this.#ask();
  }

  /** How the stream ended: an error's code, or `close`. */
  get ended(): Promise<string> {
    return this.#ended.promise;
  }

  /** Asks no more. */
  stop(): void {
    this.#isStopped = true;
  }

  #ask(): void {
    if (this.#isStopped || this.#socket.destroyed) return;
    const question = Buffer.alloc(8);
    question.writeBigUInt64BE(BigInt(++this.#sent));
    this.#askedMs = performance.now();
    this.#socket.write(question);
  }

  #handle(chunk: Buffer): void {
    this.#answer = Buffer.concat([this.#answer, chunk]);
    if (this.#answer.byteLength < 8) return;
    this.longestMs = Math.max(this.longestMs, performance.now() - this.#askedMs);
    this.count++;
    if (this.#answer.byteLength > 8 || this.#answer.readBigUInt64BE() !== BigInt(this.#sent)) this.wrong++;
    this.#answer = Buffer.alloc(0);
    setTimeout(() => this.#ask(), PAUSE_MS);
  }
}
