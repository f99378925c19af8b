import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One text file of the repository; `path` is relative to the root, with `/`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

const IGNORED_FOLDERS = new Set(['node_modules', 'dist', 'coverage', 'reports', '.git', '.x0']);
const TEXT_FILE = /\.(?:ts|mjs|js|json|md|sh|ya?ml|toml|sql)$|^(?:x0|run|LICENSE|\.npmrc|\.gitignore)$/;

/** Every text file under `root` that could be committed. */
export function readSourceFiles(root: string): readonly SourceFile[] {
  const files: SourceFile[] = [];
  const visit = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!IGNORED_FOLDERS.has(entry.name)) visit(path);
      } else if (entry.isFile() && TEXT_FILE.test(entry.name)) {
        files.push({ path, text: readFileSync(join(root, path), 'utf8') });
      }
    }
  };
  visit('');
  return files;
}
