/** What is wrong with a policy's text. Lines and columns count from 1, in UTF-16 units. */
export interface PolicyProblem {
  readonly code: 'POLICY_SYNTAX' | 'POLICY_SCHEMA' | 'POLICY_TOO_LARGE' | 'POLICY_TOO_COMPLEX';
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

/** What a text holds that may be put into force. */
export interface CheckedPolicy {
  /** Its statements, in their order. */
  readonly statements: readonly string[];
}

/** Where the `offset`th byte of UTF-8 is. */
export function positionOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  let line = 1;
  let column = 1;
  let bytes = 0;
  for (const char of text) {
    if (bytes >= offset) break;
    bytes += utf8Bytes(char);
    if (char === '\n') {
      line++;
      column = 1;
    } else {
      column += char.length;
    }
  }
  return { line, column };
}

function utf8Bytes(char: string): number {
  const point = char.codePointAt(0) ?? 0;
  if (point < 0x80) return 1;
  if (point < 0x800) return 2;
  return point < 0x10000 ? 3 : 4;
}
