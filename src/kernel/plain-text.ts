const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
/** As above, of what JSON leaves unescaped. */
const UNESCAPED = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu;
const STABLE_CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/** `text` of somebody else for a terminal: control, format and bidirectional characters become question marks. */
export function plainText(text: string): string {
  return text.replaceAll(UNPRINTABLE, '?');
}

/** As `plainText`, but the line feeds stay. */
export function plainLines(text: string): string {
  return text.split('\n').map(plainText).join('\n');
}

/** JSON in which no character can move a terminal's cursor or turn its text round; it parses to the same value. */
export function plainJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(UNESCAPED, (found) =>
    Array.from({ length: found.length }, (_, index) => escapeUnit(found.charCodeAt(index))).join(''),
  );
}

/** Whether `text` has the form of a stable code. */
export function isCodeShaped(text: string): boolean {
  return STABLE_CODE.test(text);
}

function escapeUnit(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}

/** `text` as one word of a shell’s command line. */
export function shellWord(text: string): string {
  return /^[\w./:@%+=,[\]-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
