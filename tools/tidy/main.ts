import { dirname } from 'node:path';
import { readSourceFiles } from './files.ts';
import { checkFiles } from './rules.ts';

const root = dirname(dirname(import.meta.dirname));
const files = readSourceFiles(root);
const findings = checkFiles(files);
for (const { path, line, rule, text, isWarning } of findings) {
  process.stdout.write(`${path}:${line}: ${isWarning ? 'warning: ' : ''}${rule}: ${text}\n`);
}
const failures = findings.filter((each) => !each.isWarning).length;
process.stdout.write(
  `tidy: ${files.length} files read, ${failures} failures, ${findings.length - failures} warnings\n`,
);
process.exitCode = failures > 0 || files.every((file) => !file.path.startsWith('src/')) ? 1 : 0;
