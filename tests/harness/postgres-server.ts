/** A PostgreSQL server of a test's own: a new cluster in a temporary directory, on a free port of loopback. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { POSTGRES_BIN } from './system.ts';

const USER = 'x0';

/** Whom the server runs as: it refuses root. */
interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface PostgresOptions {
  /** `name=value` as for `postgres -c`. Without any, nothing waits for the disk: a crash of the server keeps all, one of the machine does not. */
  readonly settings?: readonly string[];
}

const QUICK = ['fsync=off', 'full_page_writes=off'];

export class PostgresServer {
  readonly port: number;
  /** Of its first database; holds a password. */
  readonly url: string;
  readonly #directory: string;
  readonly #owner: Owner | undefined;
  readonly #settings: readonly string[];
  #child: ChildProcess | undefined;
  readonly #killAtExit = (): void => void this.#child?.kill('SIGQUIT');

  private constructor(directory: string, port: number, password: string, options: PostgresOptions) {
    this.#directory = directory;
    this.#owner = ownerOf();
    this.#settings = options.settings ?? QUICK;
    this.port = port;
    this.url = `postgres://${USER}:${password}@127.0.0.1:${port}/postgres`;
  }

  static async start(options: PostgresOptions = {}): Promise<PostgresServer> {
    const directory = mkdtempSync(join(tmpdir(), 'x0-postgres-'));
    const password = randomBytes(12).toString('hex');
    const server = new PostgresServer(directory, await freePort(), password, options);
    server.#initialise(password);
    await server.resume();
    return server;
  }

  /** Ends it at once, as for a crash; its data stays. */
  async crash(): Promise<void> {
    await this.#end('SIGQUIT');
  }

  /** Starts it again on the same port; resolves when it takes connections. */
  async resume(): Promise<void> {
    const settings = ['listen_addresses=127.0.0.1', `port=${this.port}`, 'unix_socket_directories=', ...this.#settings];
    const words = ['-D', join(this.#directory, 'data'), ...settings.flatMap((it) => ['-c', it])];
    const child = spawn(program('postgres'), words, { ...this.#spawnOptions(), stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    process.once('exit', this.#killAtExit);
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = `${said}${text}`.slice(-10_000);
      if (said.includes('ready to accept connections')) child.emit('ready');
    });
    await Promise.race([once(child, 'ready'), once(child, 'exit')]);
    if (child.exitCode !== null) throw new Error(`postgres ended:\n${said}`);
  }

  /** Stops the clock of every process of the server; `true` again lets them go on. */
  freeze(isFrozen: boolean): void {
    const signal = isFrozen ? 'SIGSTOP' : 'SIGCONT';
    const postmaster = this.#child?.pid ?? 0;
    for (const pid of [postmaster, ...childrenOf(postmaster)]) process.kill(pid, signal);
  }

  /** Ends it and removes its directory. */
  async stop(): Promise<void> {
    await this.#end('SIGQUIT');
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    process.off('exit', this.#killAtExit);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  #initialise(password: string): void {
    const passwordFile = join(this.#directory, 'password');
    writeFileSync(passwordFile, password);
    if (this.#owner !== undefined)
      for (const path of [this.#directory, passwordFile]) chownSync(path, this.#owner.uid, this.#owner.gid);
    const words = ['-D', join(this.#directory, 'data'), '-U', USER, '--pwfile', passwordFile];
    const format = ['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-sync'];
    const made = spawnSync(program('initdb'), [...words, ...format], { ...this.#spawnOptions(), encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`initdb failed:\n${made.stderr}`);
  }

  #spawnOptions(): Partial<Owner> & { readonly cwd: string } {
    return { cwd: this.#directory, ...this.#owner };
  }
}

function program(name: string): string {
  if (POSTGRES_BIN === undefined) throw new Error('there is no PostgreSQL here');
  return join(POSTGRES_BIN, name);
}

function ownerOf(): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const fields = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'));
  if (fields === null) throw new Error('there is no user postgres');
  return { uid: Number(fields[1]), gid: Number(fields[2]) };
}

function childrenOf(parent: number): readonly number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const [, ppid] = /\) \S (\d+) /.exec(readFileSync(`/proc/${name}/stat`, 'utf8')) ?? [];
      return Number(ppid) === parent ? [Number(name)] : [];
    } catch (error) {
      // It ended meanwhile.
      if (!(error instanceof Error)) throw error;
      return [];
    }
  });
}
