/** Network namespaces of Linux as the hosts and routers of a test, with names of their own, removed whatever happens. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import type { X0Command } from './x0-process.ts';

/** One end of a cable: a namespace and its address with prefix length. */
export interface CableEnd {
  readonly host: string;
  readonly address: string;
}

/** A set of namespaces that are made and removed together. */
export class Network {
  readonly #prefix = `x0${randomBytes(3).toString('hex')}`;
  readonly #hosts = new Set<string>();
  #cables = 0;
  readonly #removeAtExit = (): void => this.remove();

  constructor() {
    process.once('exit', this.#removeAtExit);
  }

  /** Makes a namespace with a loopback that is up. */
  addHost(host: string): void {
    run(['ip', 'netns', 'add', this.#name(host)]);
    this.#hosts.add(host);
    this.run(host, 'ip', 'link', 'set', 'lo', 'up');
  }

  /** Joins a host to a switch by a cable; returns the names of the host's end and of the switch's, which has no address. */
  plug(host: string, address: string, hub: string): readonly [string, string] {
    const index = this.#cables++;
    const names = [`${this.#prefix}l${index}`, `${this.#prefix}r${index}`] as const;
    const peer = ['peer', 'name', names[1], 'netns', this.#name(hub)];
    run(['ip', 'link', 'add', names[0], 'netns', this.#name(host), 'type', 'veth', ...peer]);
    this.run(host, 'ip', 'address', 'add', address, 'dev', names[0]);
    this.run(host, 'ip', 'link', 'set', names[0], 'up');
    this.run(hub, 'ip', 'link', 'set', names[1], 'up');
    return names;
  }

  /** Joins two hosts by a cable and returns the names of its ends. */
  connect(left: CableEnd, right: CableEnd): readonly [string, string] {
    const index = this.#cables++;
    const names = [`${this.#prefix}l${index}`, `${this.#prefix}r${index}`] as const;
    run([
      'ip',
      'link',
      'add',
      names[0],
      'netns',
      this.#name(left.host),
      'type',
      'veth',
      'peer',
      'name',
      names[1],
      'netns',
      this.#name(right.host),
    ]);
    for (const [{ host, address }, device] of [
      [left, names[0]],
      [right, names[1]],
    ] as const) {
      this.run(host, 'ip', 'address', 'add', address, 'dev', device, ...(address.includes(':') ? ['nodad'] : []));
      this.run(host, 'ip', 'link', 'set', device, 'up');
    }
    return names;
  }

  /** The words before a program that run it on a host. */
  on(host: string, ...program: readonly string[]): [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.#name(host), ...program];
  }

  /** How `x0` is started on a host. */
  x0(host: string, command: X0Command): X0Command {
    return this.on(host, ...command);
  }

  /** Runs a program on a host to its end; throws when it fails. */
  run(host: string, ...program: readonly string[]): string {
    return run(this.on(host, ...program));
  }

  /** Ends what still runs on the hosts, all of it started here, and removes them. */
  remove(): void {
    process.off('exit', this.#removeAtExit);
    for (const host of this.#hosts) {
      const pids = run(['ip', 'netns', 'pids', this.#name(host)]).trim();
      for (const pid of pids === '' ? [] : pids.split('\n')) endProcess(Number(pid));
      run(['ip', 'netns', 'delete', this.#name(host)]);
    }
    this.#hosts.clear();
  }

  #name(host: string): string {
    return `${this.#prefix}-${host}`;
  }
}

function run([program, ...args]: [string, ...string[]]): string {
  return execFileSync(program, args, { encoding: 'utf8', timeout: 30_000 });
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It ended by itself.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
