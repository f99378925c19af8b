/** A failure at the edge that a person or a script acts on: `code` is stable, `message` says what to do. */
export class CodedError extends Error {
  override readonly name = 'CodedError';
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
