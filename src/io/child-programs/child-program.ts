import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { CodedError } from '#control/coded-error.ts';

/** What a child says over its channel: it serves, or why it does not. */
export type ChildMessage =
  | { readonly type: 'ready' }
  /** It was taken out of service, and ends. */
  | { readonly type: 'drained' }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };

/** One program to run as a child of this process. */
export interface ProgramSpec {
  readonly name: string;
  /** The script and its arguments. */
  readonly args: readonly string[];
  /** Added to the environment, or taken from it; secrets go here, other users read arguments. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Where its output is appended. */
  readonly logPath: string;
}

/** SIGKILL follows SIGTERM after this long: a process under load may hang in its exit. */
const STOP_TIMEOUT_MS = 2000;

/** A child process of this program's own kind. It ends when this process ends, because its channel closes. */
export class ChildProgram {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #ready: Promise<void>;
  readonly #exited: Promise<string>;
  #failure: CodedError | undefined;
  #isDrained = false;

  constructor({ name, args, environment, logPath }: ProgramSpec) {
    this.name = name;
    const log = openSync(logPath, 'a', 0o600);
    this.#child = spawn(process.execPath, [...process.execArgv, ...args], {
      stdio: ['ignore', log, log, 'ipc'],
      env: { ...process.env, ...environment },
    });
    closeSync(log);
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => resolve(signal ?? `status ${code ?? 1}`));
      this.#child.once('error', (error) => resolve(error.message));
    });
    this.#ready = this.#awaitReady(logPath);
    this.#ready.catch((error: unknown) => {
      this.#failure ??= error instanceof CodedError ? error : undefined;
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** It said that it was taken out of service before it ended. */
  get isDrained(): boolean {
    return this.#isDrained;
  }

  /** Fulfilled when the child serves; rejects with the child's own code, or `CHILD_ENDED`. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  /** How it ended: a signal's name or a status. */
  get exited(): Promise<string> {
    return this.#exited;
  }

  /** Asks the child to end, and makes it after {@link STOP_TIMEOUT_MS}. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  async #awaitReady(logPath: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#child.on('message', (message) => {
        const said = message as ChildMessage;
        if (said.type === 'ready') resolve();
        else if (said.type === 'drained') this.#isDrained = true;
        else this.#failure = new CodedError(said.code, `${this.name}: ${said.message}`);
      });
      void this.#exited.then((how) => {
        reject(this.#failure ?? new CodedError('CHILD_ENDED', `${this.name} ended (${how}); its log is ${logPath}`));
      });
    });
  }
}
