/** A whole mesh as `x0 up` starts it, on free ports in a temporary directory, asked through the command line. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { CLONE, type X0Command, X0Process, type X0Result } from './x0-process.ts';

interface StatusPeer {
  readonly name: string;
  readonly state: string;
  readonly rttMs: number | null;
  readonly group: string;
  readonly signature: string;
  readonly notAfter: string;
}

export interface StatusNode {
  readonly name: string;
  readonly spiffeId: string;
  readonly pid: number;
  readonly relay: boolean;
  readonly state: string;
  readonly listen: Readonly<Record<'link' | 'socks' | 'http' | 'admin', string | null>>;
  readonly peers: readonly StatusPeer[];
  readonly services: readonly string[];
  readonly counters: Readonly<Record<string, number>>;
  readonly problems: readonly { readonly code: string; readonly message: string }[];
}

export interface Status {
  readonly nodes: readonly StatusNode[];
  readonly services: readonly { readonly name: string; readonly nodes: readonly string[] }[];
}

export interface StreamRow {
  readonly node: string;
  readonly role: string;
  readonly service: string;
  readonly peer: string;
  readonly state: string;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly path: readonly string[];
  readonly protected?: boolean;
  readonly moveCount: number;
  readonly moves: readonly {
    readonly from: readonly string[];
    readonly to: readonly string[];
    readonly reason: string;
    readonly gapMs: number;
    readonly at: string;
  }[];
}

interface UpOptions {
  readonly command?: X0Command;
  /** Arguments of `x0 up`; the default are free ports. */
  readonly args?: readonly string[];
  readonly dataDir?: string;
}

const COMMAND_TIMEOUT_MS = 30_000;

/** Runs one `x0` command without blocking this process, whose servers it may need. */
export async function askX0(command: X0Command, args: readonly string[]): Promise<X0Result> {
  const [program, ...before] = command;
  return await new Promise((resolve) => {
    execFile(
      program,
      [...before, ...args],
      { encoding: 'utf8', timeout: COMMAND_TIMEOUT_MS, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
        resolve({ status, stdout, stderr });
      },
    );
  });
}

/** A running `x0 up`. */
export class UpMesh {
  readonly dataDir: string;
  readonly #folder: string | undefined;
  readonly #command: X0Command;
  readonly #args: readonly string[];
  #up: X0Process | undefined;

  private constructor({ command = CLONE, args = ['--ephemeral'], dataDir }: UpOptions) {
    this.#command = command;
    this.#args = args;
    this.#folder = dataDir === undefined ? mkdtempSync(join(tmpdir(), 'x0-mesh-')) : undefined;
    this.dataDir = dataDir ?? join(this.#folder ?? '', 'data');
  }

  /** Starts a mesh and waits until it says that it is up. */
  static async start(options: UpOptions = {}): Promise<UpMesh> {
    const mesh = new UpMesh(options);
    await mesh.restart();
    return mesh;
  }

  /** Starts it, again, in the same directory. */
  async restart(): Promise<void> {
    this.#up = new X0Process(this.#command, ['up', ...this.#args, '--data-dir', this.dataDir]);
    try {
      await this.#up.says(/Ctrl-C stops everything/);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  get up(): X0Process {
    if (this.#up === undefined) throw new Error('the mesh was not started');
    return this.#up;
  }

  /** Ends it as Ctrl-C would, or harder, and forgets its directory. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#up?.end(signal);
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Runs a command that must succeed and returns what it printed. */
  async x0(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.tryX0(...args);
    if (status !== 0 || stderr !== '') throw new Error(`x0 ${args.join(' ')}: status ${status}: ${stderr}`);
    return stdout;
  }

  /** Runs a command that may fail. */
  async tryX0(...args: readonly string[]): Promise<X0Result> {
    return await askX0(this.#command, [...args, '--data-dir', this.dataDir]);
  }

  /** Runs a reading command with `--json`. */
  async json(...args: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.x0(...args, '--json'));
  }

  async status(): Promise<Status> {
    return (await this.json('status')) as Status;
  }

  async node(name: string): Promise<StatusNode> {
    const found = (await this.status()).nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  async peersOf(name: string): Promise<readonly string[]> {
    return (await this.node(name)).peers.map((peer) => peer.name).toSorted();
  }

  async streams(): Promise<readonly StreamRow[]> {
    return ((await this.json('streams')) as { streams: readonly StreamRow[] }).streams;
  }

  /** The SOCKS5 port of a node. */
  async socks(name: string): Promise<number> {
    return portOf((await this.node(name)).listen.socks);
  }
}

/** The port of `host:port`. */
export function portOf(address: string | null | undefined): number {
  const port = Number(address?.slice(address.lastIndexOf(':') + 1));
  if (!Number.isInteger(port) || port === 0) throw new Error(`no port in ${address}`);
  return port;
}

/** Waits until `probe` gives what `isDone` accepts; throws with the last value after `timeoutMs`. */
export async function until<T>(
  probe: () => T | Promise<T>,
  isDone: (value: T) => boolean,
  timeoutMs: number,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (isDone(value)) return value;
    if (performance.now() > deadlineMs) throw new Error(`after ${timeoutMs} ms still ${JSON.stringify(value)}`);
    await pause(POLL_MS);
  }
}

const POLL_MS = 50;
