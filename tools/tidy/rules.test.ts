import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSourceFiles } from './files.ts';
import { checkFiles } from './rules.ts';

const rulesOf = (path: string, text: string, others: readonly string[] = []): readonly string[] =>
  checkFiles([{ path, text }, ...others.map((other) => ({ path: other, text: '' }))]).map((each) => each.rule);

describe('the import table', () => {
  test.each([
    ['src/kernel/a.ts', '#topology/graph.ts'],
    ['src/topology/a.ts', '../mesh/mux.ts'],
    ['src/trust/a.ts', '#mesh/mux.ts'],
    ['src/mesh/a.ts', '#io/tunnel-tls/tunnel.ts'],
    ['src/control/a.ts', '#mesh/mux.ts'],
    ['src/healing/a.ts', '#mesh/mux.ts'],
    ['src/io/a/a.ts', '#apps/node/main.ts'],
    ['src/mesh/a.ts', 'node:crypto'],
    ['src/trust/a.ts', '@peculiar/x509'],
    ['src/io/a/a.ts', './b'],
    ['src/apps/cli/a.ts', '../../../tools/tidy/rules.ts'],
  ])('%s may not import %s', (path, specifier) => {
    expect(rulesOf(path, `import { a } from '${specifier}';\n`)).toEqual(['import']);
    expect(rulesOf(path, `import {\n  a,\n} from "${specifier}";\n`)).toEqual(['import']);
    expect(rulesOf(path, `const a = await import('${specifier}');\n`)).toEqual(['import']);
    expect(rulesOf(path, `import '${specifier}';\n`)).toEqual(['import']);
  });

  test.each([
    ['src/mesh/a.ts', '#topology/graph.ts'],
    ['src/mesh/mux/a.ts', '../mux/b.ts'],
    ['src/io/a/a.ts', 'node:net'],
    ['src/apps/cli/a.ts', '#io/a/a.ts'],
    ['src/trust/a.ts', '@msgpack/msgpack'],
    ['src/mesh/a.test.ts', 'node:fs'],
  ])('%s may import %s', (path, specifier) => {
    expect(rulesOf(path, `import { a } from '${specifier}';\n`)).toEqual([]);
  });

  test('a folder that the design does not know is refused', () => {
    expect(rulesOf('src/shared/a.ts', '')).toEqual(['layout']);
  });
});

test.each([
  'src/kernel/utils.ts',
  'src/mesh/mux-v2.ts',
  'src/mesh/helpers/a.ts',
  'src/io/enhanced-x/a.ts',
  'src/mesh/MuxCore.ts',
])('the name %s is refused', (path) => {
  expect(rulesOf(path, '')).toEqual(['name']);
});

test('a file above 500 lines fails and one above 300 is warned of', () => {
  const [long] = checkFiles([{ path: 'src/kernel/a.ts', text: '\n'.repeat(501) }]);
  const [warned] = checkFiles([{ path: 'src/kernel/a.ts', text: '\n'.repeat(301) }]);
  expect([long?.isWarning, warned?.isWarning]).toEqual([false, true]);
  expect(checkFiles([{ path: 'src/kernel/a.ts', text: '\n'.repeat(300) }])).toEqual([]);
});

test('paths and registries of one machine are refused', () => {
  const home = ['', 'root', 'x'].join('/');
  expect(rulesOf('docs/a.md', `run ${home}\n`)).toEqual(['machine']);
  expect(rulesOf('package-lock.json', '"resolved": "https://registry.example/a.tgz"')).toEqual(['machine']);
  expect(rulesOf('.npmrc', 'registry=https://registry.example/')).toEqual(['machine']);
});

test('a relative link of a document must lead somewhere', () => {
  expect(rulesOf('docs/a.md', '[b](b.md) [c](https://c.example) [d](#d)')).toEqual(['link']);
  expect(
    rulesOf('docs/a.md', '[b](../docs/b.md#part) [folder](decisions/)', ['docs/b.md', 'docs/decisions/c.md']),
  ).toEqual([]);
});

test('this repository is tidy', () => {
  const files = readSourceFiles(dirname(dirname(import.meta.dirname)));
  expect(files.filter((file) => file.path.startsWith('src/')).length).toBeGreaterThan(5);
  expect(checkFiles(files).filter((each) => !each.isWarning)).toEqual([]);
});
