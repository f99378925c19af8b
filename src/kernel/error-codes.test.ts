import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { ERROR_CODES } from './error-codes.ts';

const root = dirname(dirname(import.meta.dirname));
const catalogue = Object.values(ERROR_CODES).flat();

/** Words in capitals that are no codes of ours: Node's, fastify's, the HTTP parser's, and names of variables. */
const FOREIGN = /^(?:ERR_|EAI_|HPE_|FST_|X0_|UNABLE_|CERT_HAS_|DEPTH_|SELF_SIGNED|OTEL_)/;

function codesOfTheProgram(): ReadonlySet<string> {
  const codes = new Set<string>();
  for (const name of globSync('src/**/*.ts', { cwd: root })) {
    if (name.endsWith('.test.ts') || name.endsWith('error-codes.ts')) continue;
    const text = readFileSync(join(root, name), 'utf8');
    for (const [, code = ''] of text.matchAll(/'([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)'/g)) {
      if (!FOREIGN.test(code)) codes.add(code);
    }
  }
  return codes;
}

test('no code stands in the catalogue twice', () => {
  expect(catalogue.length).toBeGreaterThan(100);
  expect(catalogue.filter((code, index) => catalogue.indexOf(code) !== index)).toEqual([]);
});

test('the catalogue and docs/reference/errors.md have the same codes under the same titles', () => {
  const page = readFileSync(join(root, 'docs/reference/errors.md'), 'utf8');
  const sections = page.split('\n## ').slice(1);
  const documented = sections.map((section) => [
    section.split('\n')[0],
    [...section.matchAll(/^\| `([A-Z0-9_]+)` \| \S/gm)].map((match) => match[1]),
  ]);
  expect(Object.fromEntries(documented)).toEqual(ERROR_CODES);
});

/** Files that list codes without saying them. */
const LISTS = /(?:error-codes|open-failure|api-error|exit-codes|\.test)\.ts$/;
/** Codes that nothing says as a word, each with its reason. */
const UNSAID: Readonly<Record<string, string>> = {
  NOT_FOUND: 'api-error.ts says it itself',
  MEDIA_TYPE_UNSUPPORTED: 'api-error.ts says it itself',
};

test('every code in the catalogue is one that something says', () => {
  const names = globSync(['{src,tools,bin}/**/*.{ts,js,mjs}', 'x0'], { cwd: root });
  const texts = names.filter((name) => !LISTS.test(name)).map((name) => readFileSync(join(root, name), 'utf8'));
  const words = new Set(texts.join('\n').match(/\b[A-Z][A-Z0-9_]+\b/g));
  expect(catalogue.filter((code) => !words.has(code) && !(code in UNSAID))).toEqual([]);
});

test('every code that the program can say is in the catalogue', () => {
  const said = codesOfTheProgram();
  expect(said.size).toBeGreaterThan(100);
  expect([...said].filter((code) => !catalogue.includes(code))).toEqual([]);
});
