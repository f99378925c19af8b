// What `npm pack` ships: src without its types, as dist/**/*.js, because Node strips no types under node_modules.
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(root, 'src');
const target = join(root, 'dist');

/** `'#mesh/mux.ts'` and `'./mux.ts'` end in `.js` there; text that is no specifier does not begin so. */
const SPECIFIER = /(['"])((?:#[a-z]|\.{1,2}\/)[\w./#-]*)\.ts\1/g;

rmSync(target, { recursive: true, force: true });
const names = globSync('**/*.ts', { cwd: source }).filter(
  (name) => !/\.test\.ts$|\.d\.ts$|(^|\/)fake-[^/]*$/.test(name),
);
if (names.length === 0) throw new Error('src holds no TypeScript');
for (const name of names) {
  const stripped = stripTypeScriptTypes(readFileSync(join(source, name), 'utf8'));
  const path = join(target, name.replace(/\.ts$/, '.js'));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, stripped.replace(SPECIFIER, '$1$2.js$1'));
}
process.stderr.write(`dist: ${names.length} files\n`);
