import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, relative, resolve } from 'node:path';
import { CodedError } from '#control/coded-error.ts';
import { NODE_VARIABLES } from '../node/config.ts';

/** What every command knows about where it runs. */
export interface CliConfig {
  /** State of the control plane, and under `nodes/` that of nodes which run here. */
  readonly dataDir: string;
  /** How a person starts this program here: `./x0` in a clone, `x0` when installed. */
  readonly command: string;
  readonly version: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const KNOWN_VARIABLES = new Set<string>([
  'X0_DATA_DIR',
  'X0_API',
  'X0_API_KEY',
  'X0_SYSTEM_TESTS',
  'X0_PRODUCTION',
  ...NODE_VARIABLES,
]);
const root = dirname(dirname(dirname(import.meta.dirname)));
const isClone = import.meta.filename.endsWith('.ts');

/** Reads the environment; throws a `CodedError` with `USAGE` on an `X0_` variable that nothing reads. */
export function readCliConfig(environment: Readonly<Record<string, string | undefined>>): CliConfig {
  const unknown = Object.keys(environment).find((name) => name.startsWith('X0_') && !KNOWN_VARIABLES.has(name));
  if (unknown !== undefined) throw new CodedError('USAGE', `${unknown} is no setting of x0`);
  return {
    dataDir: resolve(environment['X0_DATA_DIR'] ?? (isClone ? join(root, '.x0') : join(homedir(), '.x0'))),
    command: isClone ? cloneCommand() : installedCommand(environment),
    version: readVersion(),
    environment,
  };
}

function cloneCommand(): string {
  const path = relative(process.cwd(), join(root, 'x0'));
  if (path.startsWith('..')) return join(root, 'x0');
  return existsSync(join(root, 'x0')) ? `./${path}` : 'x0';
}

/** What a shell would find: npx puts the command on the PATH of its own child only. */
function installedCommand(environment: CliConfig['environment']): string {
  if (environment['npm_command'] === 'exec') return 'npx x0';
  const isOnPath = (environment['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, 'x0')));
  return isOnPath ? 'x0' : join(root, 'bin', 'x0.js');
}

function readVersion(): string {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return manifest.version;
}
