import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = dirname(dirname(dirname(import.meta.dirname)));

/** The version of this package. */
export function programVersion(): string {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string };
  return manifest.version;
}
