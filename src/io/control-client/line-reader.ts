import { CodedError } from '#control/coded-error.ts';
import { LINE_LIMIT_CHARS } from '#io/control-https/session-lines.ts';

/** Splits a byte stream into lines; throws SESSION_LINE_TOO_LONG instead of growing without end. */
export class LineReader {
  readonly #limitChars: number;
  readonly #decoder = new TextDecoder();
  #parts: string[] = [];
  #length = 0;

  constructor(limitChars = LINE_LIMIT_CHARS) {
    this.#limitChars = limitChars;
  }

  /** The lines that `chunk` completes, without their ends. */
  push(chunk: Uint8Array): readonly string[] {
    const pieces = this.#decoder.decode(chunk, { stream: true }).split('\n');
    const last = pieces.pop() ?? '';
    const lines: string[] = [];
    for (const piece of pieces) {
      this.#keep(piece);
      lines.push(this.#parts.join(''));
      this.#parts = [];
      this.#length = 0;
    }
    this.#keep(last);
    return lines;
  }

  #keep(piece: string): void {
    this.#length += piece.length;
    if (this.#length > this.#limitChars)
      throw new CodedError('SESSION_LINE_TOO_LONG', 'the control plane sent too much');
    if (piece.length > 0) this.#parts.push(piece);
  }
}
