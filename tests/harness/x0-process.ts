/** The command line as a user runs it: real processes, from this clone or from an installed package. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = dirname(dirname(import.meta.dirname));

/** How `x0` is started: the program and the arguments before the user's. */
export type X0Command = readonly [string, ...string[]];

/** This clone, through its launcher. */
export const CLONE: X0Command = [process.execPath, join(root, 'tools', 'launch.mjs'), 'src/apps/cli/main.ts'];

/** A long-running `x0`, with what it has said so far. */
export class X0Process {
  readonly child: ChildProcess;
  #output = '';

  constructor(command: X0Command, args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const [program, ...before] = command;
    this.child = spawn(program, [...before, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
        this.child.emit('said');
      });
    }
    this.child.on('exit', () => this.child.emit('said'));
  }

  get output(): string {
    return this.#output;
  }

  /** Waits until it has said `what`; rejects with everything it said if it ends before. */
  async says(what: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = what.exec(this.#output);
      if (match !== null) return match;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`x0 ended (${this.child.exitCode ?? this.child.signalCode}) and said:\n${this.#output}`);
      }
      await once(this.child, 'said');
    }
  }

  /** Sends `signal` and waits for the end; resolves to status or signal. */
  async end(signal: NodeJS.Signals): Promise<number | string | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exited = once(this.child, 'exit');
      this.child.kill(signal);
      await exited;
    }
    return this.child.exitCode ?? this.child.signalCode;
  }
}

/** What one `x0` command came to. */
export interface X0Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one `x0` command to its end. */
export function runX0(command: X0Command, args: readonly string[]): X0Result {
  const [program, ...before] = command;
  return spawnSync(program, [...before, ...args], { encoding: 'utf8', timeout: 30_000, killSignal: 'SIGKILL' });
}

/** Process ids whose command line holds `text`: who works in a data directory. Linux only. */
export function findProcesses(text: string): readonly number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    return readCommandLine(name).includes(text) ? Number(name) : [];
  });
}

function readCommandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch (error) {
    // It ended since the directory was read.
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return '';
    throw error;
  }
}
