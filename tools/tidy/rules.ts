import { posix } from 'node:path';
import type { SourceFile } from './files.ts';

/** What is wrong, where. A warning does not fail the check. */
export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  readonly text: string;
  readonly isWarning: boolean;
}

/** Folders of src, and what each may import besides itself. */
const IMPORT_TABLE: Readonly<Record<string, readonly string[]>> = {
  kernel: [],
  topology: ['kernel'],
  trust: ['kernel'],
  mesh: ['kernel', 'topology', 'trust'],
  learning: ['kernel', 'topology'],
  healing: ['kernel', 'topology', 'learning'],
  control: ['kernel', 'trust'],
  io: ['kernel', 'topology', 'trust', 'mesh', 'learning', 'healing', 'control'],
  apps: ['kernel', 'topology', 'trust', 'mesh', 'learning', 'healing', 'control', 'io'],
};

/** Folders without Node built-ins, clock, randomness or async. */
export const PURE_FOLDERS: readonly string[] = [
  'kernel',
  'topology',
  'trust',
  'mesh',
  'learning',
  'healing',
  'control',
];

const PURE_PACKAGES = new Set(['@msgpack/msgpack', 'typebox']);
const WARN_LINES = 300;
const MOST_LINES = 500;
/** A test file is a list of scenarios: longer, and still one idea. */
const MOST_TEST_LINES = 1000;
const FORBIDDEN_NAME = /(?:^|[-_.])(?:utils?|helpers?|enhanced|misc|v\d+)(?:[-_.]|$)/;
const KEBAB_CASE = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.(?:test|config|bench|d))?\.(?:ts|mjs|js)$/;
const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)(['"])([^'"\n]+)\1/g;
const MACHINE_PATH = new RegExp(String.raw`(?:^|[\s"'\`(=:])/(?:${['work', 'root', 'home'].join('|')})/[\w.-]`);
const LOCK_HOST = /"resolved":\s*"http/;
const REGISTRY_SETTING = /^\s*(?:@[\w-]+:)?registry\s*=/;
const MARKDOWN_LINK = /\[[^\]]*\]\(([^)\s]+)\)/g;

/** All findings in `files`, which are the whole repository. */
export function checkFiles(files: readonly SourceFile[]): readonly Finding[] {
  const paths = new Set(files.map((file) => file.path));
  return files.flatMap((file) => [
    ...checkName(file),
    ...checkLength(file),
    ...checkHosts(file),
    ...(isTypeScript(file) ? checkImports(file) : []),
    ...(file.path.endsWith('.md') ? checkLinks(file, paths) : []),
  ]);
}

function isTypeScript(file: SourceFile): boolean {
  return file.path.startsWith('src/') && file.path.endsWith('.ts');
}

function finding(file: SourceFile, line: number, rule: string, text: string, isWarning = false): Finding {
  return { path: file.path, line, rule, text, isWarning };
}

function checkName(file: SourceFile): readonly Finding[] {
  const name = posix.basename(file.path);
  if (!/\.(?:ts|mjs|js)$/.test(name)) return [];
  const wrong: Finding[] = [];
  if (!KEBAB_CASE.test(name)) wrong.push(finding(file, 1, 'name', 'file names are kebab-case'));
  if (FORBIDDEN_NAME.test(file.path.replaceAll('/', '.'))) wrong.push(finding(file, 1, 'name', 'say what it holds'));
  return wrong;
}

function checkLength(file: SourceFile): readonly Finding[] {
  if (!/\.(?:ts|mjs|js)$/.test(file.path)) return [];
  const lines = file.text.split('\n').length - 1;
  if (lines <= WARN_LINES) return [];
  const most = file.path.endsWith('.test.ts') ? MOST_TEST_LINES : MOST_LINES;
  return [finding(file, lines, 'length', `${lines} lines, at most ${most}`, lines <= most)];
}

function checkHosts(file: SourceFile): readonly Finding[] {
  return matchingLines(file, (line) => {
    if (MACHINE_PATH.test(line)) return 'a path of one machine';
    if (file.path === 'package-lock.json' && LOCK_HOST.test(line)) return 'the lock file names a registry';
    if (file.path === '.npmrc' && REGISTRY_SETTING.test(line)) return 'names a registry';
    return undefined;
  });
}

function matchingLines(file: SourceFile, judge: (line: string) => string | undefined): readonly Finding[] {
  return file.text.split('\n').flatMap((line, index) => {
    const text = judge(line);
    return text === undefined ? [] : [finding(file, index + 1, 'machine', text)];
  });
}

function checkImports(file: SourceFile): readonly Finding[] {
  const folder = file.path.split('/')[1] ?? '';
  const allowed = IMPORT_TABLE[folder];
  if (allowed === undefined) return [finding(file, 1, 'layout', `src/${folder} is not a folder of the design`)];
  if (file.path.endsWith('.test.ts')) return [];
  const wrong: Finding[] = [];
  for (const match of file.text.matchAll(IMPORT)) {
    const text = judgeImport(file.path, folder, allowed, match[2] ?? '');
    if (text !== undefined) wrong.push(finding(file, lineOf(file.text, match.index), 'import', text));
  }
  return wrong;
}

function judgeImport(path: string, folder: string, allowed: readonly string[], specifier: string): string | undefined {
  const target = targetFolder(path, specifier);
  if (target === undefined) return judgePackage(folder, specifier);
  if (!/\.(?:ts|json)$/.test(specifier)) return `${specifier} has no extension`;
  if (target === folder || allowed.includes(target)) return undefined;
  return `${folder} may not import ${target} (${specifier})`;
}

function targetFolder(path: string, specifier: string): string | undefined {
  if (specifier.startsWith('#')) return specifier.slice(1).split('/')[0];
  if (!specifier.startsWith('.')) return undefined;
  const [top, folder] = posix.join(posix.dirname(path), specifier).split('/');
  return top === 'src' ? (folder ?? '') : (top ?? '');
}

function judgePackage(folder: string, specifier: string): string | undefined {
  if (!PURE_FOLDERS.includes(folder)) return undefined;
  if (specifier.startsWith('node:')) return `${folder} is pure: no ${specifier}`;
  return PURE_PACKAGES.has(specifier) ? undefined : `${folder} is pure: no package ${specifier}`;
}

function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

function checkLinks(file: SourceFile, paths: ReadonlySet<string>): readonly Finding[] {
  const wrong: Finding[] = [];
  for (const match of file.text.matchAll(MARKDOWN_LINK)) {
    const link = (match[1] ?? '').replace(/#.*$/, '');
    if (link === '' || /^[a-z]+:/.test(link)) continue;
    const target = posix.join(posix.dirname(file.path), link).replace(/\/$/, '');
    const exists = paths.has(target) || [...paths].some((path) => path.startsWith(`${target}/`));
    if (!exists) wrong.push(finding(file, lineOf(file.text, match.index), 'link', `${link} is not there`));
  }
  return wrong;
}
