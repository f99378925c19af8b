/** A Redis server of a test's own, on a free port of loopback, that keeps nothing. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { freePort } from './free-port.ts';

const PROGRAM = ['/usr/bin/redis-server', '/usr/local/bin/redis-server'].find((path) => existsSync(path));

/** Why there is no Redis for tests; undefined where there is one. */
export const REDIS_MISSING = PROGRAM === undefined ? 'needs the package redis-server' : undefined;

export class RedisServer {
  readonly port: number;
  /** Holds a password. */
  readonly url: string;
  readonly #password: string;
  #child: ChildProcess | undefined;
  readonly #killAtExit = (): void => void this.#child?.kill('SIGKILL');

  private constructor(port: number) {
    this.port = port;
    this.#password = randomBytes(12).toString('hex');
    this.url = `redis://:${this.#password}@127.0.0.1:${port}`;
  }

  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort());
    await server.resume();
    return server;
  }

  /** Starts it, empty, on its port. */
  async resume(): Promise<void> {
    if (PROGRAM === undefined) throw new Error('there is no Redis here');
    const words = ['--port', `${this.port}`, '--bind', '127.0.0.1', '--save', '', '--requirepass', this.#password];
    const child = spawn(PROGRAM, words, { cwd: tmpdir(), stdio: ['ignore', 'pipe', 'ignore'] });
    this.#child = child;
    process.once('exit', this.#killAtExit);
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said = `${said}${text}`.slice(-10_000);
      if (said.includes('eady to accept connections')) child.emit('ready');
    });
    await Promise.race([once(child, 'ready'), once(child, 'exit')]);
    if (child.exitCode !== null) throw new Error(`redis-server ended:\n${said}`);
  }

  /** Stops its clock; `false` lets it go on. */
  freeze(isFrozen: boolean): void {
    this.#child?.kill(isFrozen ? 'SIGSTOP' : 'SIGCONT');
  }

  /** Ends it; what it held is gone. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    process.off('exit', this.#killAtExit);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
}
