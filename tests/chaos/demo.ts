/**
 * `npm run demo:survive`: a control plane and six nodes as real programs, each on a host of its own where the machine
 * allows network namespaces; one HTTP download of a gigabyte through the SOCKS5 proxy, with the control plane stopped; and relays
 * killed, frozen and cut off under it. Prints each fault, the gap it made, and the verdict.
 */
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PROGRAM_ENVIRONMENT, PROGRAM_FLAGS } from '../../bin/program-flags.js';
import { positiveNumber, readArguments } from '../harness/arguments.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';
import type { DownloadOrder, DownloadSaying } from './download-child.ts';
import { DemoHosts } from './demo-hosts.ts';
import { type FaultTimes, type Gap, longestGaps, now } from './gaps.ts';
import { endOnSignals } from './signals.ts';

const USAGE = `npm run demo:survive -- [--gigabytes N]
  --gigabytes N   how much is downloaded, in GiB; 1.2 unless given`;
const OPTIONS = { gigabytes: { type: 'string', default: '1.2' } } as const;
const BYTES = readArguments(USAGE, OPTIONS, ({ gigabytes }) =>
  Math.ceil(positiveNumber('gigabytes', gigabytes) * 1024 ** 3),
);
const BYTES_PER_SECOND = 60e6;
const FILE_PORT = 9_090;
const ENDS = ['oslo', 'lima'] as const;
const RELAYS = ['rome', 'cairo', 'delhi', 'kyoto'] as const;
/** How long a fault lasts. */
const HOLD_MS = 1_500;
/** From the end of a fault to the next. */
const PAUSE_MS = 1_500;
/** In which the bytes through each relay are counted. */
const SAMPLE_MS = 200;

const root = fileURLToPath(new URL('../..', import.meta.url));
endOnSignals();
const hosts = new DemoHosts(['control', ...ENDS, ...RELAYS], SYSTEM_MISSING === undefined);
const kinds = hosts.areApart ? (['kill', 'freeze', 'cut off'] as const) : (['kill', 'freeze'] as const);
const dataDir = mkdtempSync(join(tmpdir(), 'x0-demo-'));
const programs = new Map<string, ChildProcess>();
/** All that were ever started and may still run. */
const children = new Set<ChildProcess>();
process.once('exit', cleanUp);
const gaps: Gap[] = [];
let startMs = 0;

function tell(line: string): void {
  process.stdout.write(`${startMs === 0 ? '' : `${((now() - startMs) / 1000).toFixed(1).padStart(5)} s  `}${line}\n`);
}

/** Without a pause, because an `exit` handler cannot wait; what was killed may write for a moment yet. */
function cleanUp(): void {
  for (const child of children) child.kill('SIGKILL');
  try {
    hosts.remove();
  } finally {
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

/** In a session of its own: who interrupts the group means this process, which ends the others. */
function spawnOn(host: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const [program, ...rest] = hosts.on(host, process.execPath, ...args);
  const child = spawn(program, rest, { cwd: root, detached: true, ...options });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

function start(host: string, args: readonly string[], ready: RegExp): Promise<void> {
  const child = spawnOn(host, [...PROGRAM_FLAGS, join(root, 'src/apps/cli/main.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...PROGRAM_ENVIRONMENT },
  });
  programs.set(host, child);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (text: Buffer) => {
      said += text.toString();
      if (ready.test(said)) resolve();
    });
  }
  child.once('exit', () => reject(new Error(`${host} ended: ${said}`)));
  return promise;
}

async function x0(...args: readonly string[]): Promise<string> {
  const words = [join(root, 'src/apps/cli/main.ts'), ...args, '--data-dir', join(dataDir, 'control')];
  const child = spawnOn('control', words, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const [status] = (await once(child, 'close')) as [number];
  if (status !== 0) throw new Error(`x0 ${args.join(' ')} ended with ${status}: ${text}`);
  return text.trim();
}

/** The arguments that start a node, which joins with `token` the first time. */
function nodeArgs(name: string, token?: string): readonly string[] {
  const isRelay = (RELAYS as readonly string[]).includes(name);
  const relay = isRelay ? ['--relay', '--link', hosts.endpoint(name, 7_100)] : [];
  const socks = isRelay ? 'off' : hosts.local(name, 1_080);
  const edges = ['--socks', socks, '--http', 'off', '--admin', 'off'];
  const joining = token === undefined ? [] : ['--join', token];
  return ['node', '--data-dir', join(dataDir, name), ...joining, ...relay, ...edges];
}

async function startMesh(): Promise<void> {
  const control = hosts.endpoint('control', 8_443);
  const args = [
    'control',
    '--allow-members',
    '--data-dir',
    join(dataDir, 'control'),
    '--listen',
    control,
    '--admin',
    hosts.local('control', 8_000),
  ];
  await start('control', args, /ready/);
  for (const name of RELAYS)
    await x0('token', 'create', '--node', name, '--relay').then((token) =>
      start(name, nodeArgs(name, token), /node is up/),
    );
  for (const name of ENDS) {
    const token = await x0('token', 'create', '--node', name, ...RELAYS.flatMap((relay) => ['--link', relay]));
    await start(name, nodeArgs(name, token), /node is up/);
  }
}

function startDownloadChild(host: string): ChildProcess {
  const script = fileURLToPath(new URL('./download-child.ts', import.meta.url));
  return spawnOn(host, [...PROGRAM_FLAGS, script], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

/** The relay through which most bytes went within a moment. */
async function relayInUse(): Promise<string> {
  const before = new Map(RELAYS.map((name) => [name, hosts.bytesThrough(name, programs.get(name)?.pid)]));
  await pause(SAMPLE_MS);
  const through = RELAYS.map((name) => ({
    name,
    bytes: hosts.bytesThrough(name, programs.get(name)?.pid) - (before.get(name) ?? 0),
  }));
  return through.toSorted((a, b) => b.bytes - a.bytes)[0]?.name ?? RELAYS[0];
}

/** Does it, waits, undoes it. */
async function strike(kind: (typeof kinds)[number], relay: string): Promise<void> {
  const child = programs.get(relay);
  if (kind === 'kill') child?.kill('SIGKILL');
  else if (kind === 'freeze') child?.kill('SIGSTOP');
  else hosts.cutOff(relay);
  await pause(HOLD_MS);
  if (kind === 'kill') await start(relay, nodeArgs(relay), /node is up/);
  else if (kind === 'freeze') child?.kill('SIGCONT');
  else hosts.reconnect(relay);
}

/** Faults, one after the other, until `over`; how many they were. Each is told of before the next, when its gaps are known. */
async function strikeUntil(over: Promise<unknown>): Promise<number> {
  let isOver = false;
  void over.then(() => (isOver = true));
  const faults: FaultTimes[] = [];
  for (let what = ''; ; ) {
    await Promise.race([pause(PAUSE_MS), over]);
    const gapMs = longestGaps(faults, gaps).at(-1);
    if (gapMs !== undefined) tell(`${what}, which carried the download: the longest gap was ${gapMs.toFixed(0)} ms`);
    const relay = await relayInUse();
    if (isOver) return faults.length;
    const kind = kinds[faults.length % kinds.length] ?? 'kill';
    what = `${kind} ${relay}`;
    const atMs = now();
    await strike(kind, relay);
    faults.push({ atMs, healedMs: now() });
  }
}

async function main(): Promise<boolean> {
  tell(
    `starting a control plane and ${ENDS.length + RELAYS.length} nodes${hosts.areApart ? ', each in a network namespace of its own' : ` on this host (nothing can be cut off: it ${SYSTEM_MISSING})`}`,
  );
  await startMesh();
  const server = startDownloadChild('lima');
  const served = once(server, 'message');
  server.send({
    order: 'serve',
    port: FILE_PORT,
    bytes: BYTES,
    bytesPerSecond: BYTES_PER_SECOND,
  } satisfies DownloadOrder);
  await served;
  await x0('expose', 'file', '--to', `127.0.0.1:${FILE_PORT}`, '--node', 'lima');
  const client = startDownloadChild('oslo');
  const over = Promise.withResolvers<DownloadSaying>();
  const flowing = Promise.withResolvers<void>();
  let bytes = 0;
  client.on('message', (saying: DownloadSaying) => {
    if ('gaps' in saying) gaps.push(...saying.gaps);
    if (saying.say === 'progress') {
      bytes = saying.bytes;
      if (bytes > 0) flowing.resolve();
    } else over.resolve(saying);
  });
  startMs = now();
  const proxyPort = Number(hosts.local('oslo', 1_080).split(':')[1]);
  client.send({ order: 'fetch', proxyPort, service: 'file' } satisfies DownloadOrder);
  await Promise.race([flowing.promise, over.promise]);
  programs.get('control')?.kill('SIGKILL');
  tell(
    `downloading ${(BYTES / 1024 ** 3).toFixed(2)} GiB by SOCKS5 from http://file.mesh/ at ${BYTES_PER_SECOND / 1e6} MB/s; the control plane is killed`,
  );
  const faults = await strikeUntil(over.promise);
  const saying = await over.promise;
  for (const child of [client, server]) child.kill('SIGKILL');
  if (saying.say !== 'done') {
    tell(`FAILED after ${bytes} bytes: ${saying.say === 'failed' ? saying.why : saying.say}`);
    return false;
  }
  const isWhole = saying.bytes === BYTES && saying.sha256 === saying.promised;
  tell(`received ${saying.bytes} bytes, SHA-256 ${saying.sha256}`);
  tell(`announced ${BYTES} bytes, SHA-256 ${saying.promised}`);
  tell(
    `${faults} faults, one TCP connection, ${isWhole ? 'every byte in its place: SURVIVED' : 'DIFFERENT BYTES: FAILED'}`,
  );
  return isWhole && faults > 0;
}

try {
  if (!(await main())) process.exitCode = 1;
} finally {
  cleanUp();
}
