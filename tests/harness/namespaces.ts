/** Network namespaces of Linux as the hosts and routers of a test, with names of their own, removed whatever happens. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { X0Command } from './x0-process.ts';

/** Where iproute2 keeps the names. */
const NAMESPACES = '/run/netns';
const BRIDGE = 'x0bridge';
const TABLE = ['inet', 'x0fault'] as const;

/** One end of a cable: a namespace and its address with prefix length; that of a switch has none. */
interface CableEnd {
  readonly host: string;
  readonly address?: string;
}

/** What a host's packet filter drops: nftables matches of packets that arrive or leave, on any device but its loopback. */
export interface PacketFilter {
  readonly input?: string;
  readonly output?: string;
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
    this.#hosts.add(host);
    run(['ip', 'netns', 'add', this.#name(host)]);
    this.run(host, 'ip', 'link', 'set', 'lo', 'up');
  }

  /** Makes a switch, into which hosts are plugged. */
  addSwitch(hub: string): void {
    this.addHost(hub);
    this.run(hub, 'ip', 'link', 'add', BRIDGE, 'type', 'bridge');
    this.run(hub, 'ip', 'link', 'set', BRIDGE, 'up');
  }

  /** Joins a host to a switch by a cable; returns the name of the host's end. */
  plug(host: string, address: string, hub: string): string {
    const [device, port] = this.connect({ host, address }, { host: hub });
    this.run(hub, 'ip', 'link', 'set', port, 'master', BRIDGE);
    return device;
  }

  /** Joins two hosts by a cable and returns the names of its ends. */
  connect(left: CableEnd, right: CableEnd): readonly [string, string] {
    const index = this.#cables++;
    const names = [`${this.#prefix}l${index}`, `${this.#prefix}r${index}`] as const;
    const peer = ['peer', 'name', names[1], 'netns', this.#name(right.host)];
    run(['ip', 'link', 'add', names[0], 'netns', this.#name(left.host), 'type', 'veth', ...peer]);
    this.#attach(left, names[0]);
    this.#attach(right, names[1]);
    return names;
  }

  /** Drops packets of a host until {@link unfilter}: a chain and a rule of nftables each. Its own loopback is inside the host. */
  filter(host: string, dropped: PacketFilter): void {
    this.run(host, 'nft', 'add', 'table', ...TABLE);
    for (const [hook, device] of [
      ['input', 'iifname'],
      ['output', 'oifname'],
    ] as const) {
      const match = dropped[hook];
      if (match === undefined) continue;
      this.run(host, 'nft', `add chain ${TABLE.join(' ')} ${hook} { type filter hook ${hook} priority 0; }`);
      this.run(host, 'nft', `add rule ${TABLE.join(' ')} ${hook} ${device} != lo ${match} drop`);
    }
  }

  unfilter(host: string): void {
    this.run(host, 'nft', 'delete', 'table', ...TABLE);
  }

  /** Nothing reaches the host, and nothing leaves it, until {@link unfilter}. */
  cutOff(host: string): void {
    this.filter(host, { input: '', output: '' });
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
      if (!existsSync(join(NAMESPACES, this.#name(host)))) continue;
      const pids = run(['ip', 'netns', 'pids', this.#name(host)]).trim();
      for (const pid of pids === '' ? [] : pids.split('\n')) endProcess(Number(pid));
      run(['ip', 'netns', 'delete', this.#name(host)]);
    }
    this.#hosts.clear();
  }

  #attach({ host, address }: CableEnd, device: string): void {
    const family = address?.includes(':') === true ? ['nodad'] : [];
    if (address !== undefined) this.run(host, 'ip', 'address', 'add', address, 'dev', device, ...family);
    this.run(host, 'ip', 'link', 'set', device, 'up');
  }

  #name(host: string): string {
    return `${this.#prefix}-${host}`;
  }
}

/** In a session of its own: what interrupts a whole group would end it halfway. Node's types leave `detached` out. */
const RUN_OPTIONS = { encoding: 'utf8', timeout: 30_000, detached: true } as const;
/** More interruptions of one program than anybody sends. */
const MAX_ATTEMPTS = 20;

/** Runs a program to its end. What interrupts it before it has left the group's session did so before it began: once more, then. */
function run([program, ...args]: [string, ...string[]]): string {
  for (let attempt = 1; ; attempt++) {
    const { status, signal, error, stdout, stderr } = spawnSync(program, args, RUN_OPTIONS);
    if (status === 0) return stdout;
    if (signal !== null && error === undefined && attempt < MAX_ATTEMPTS) continue;
    throw error ?? new Error(`${program} ${args.join(' ')} ended with ${status ?? signal}: ${stderr}`);
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It ended by itself.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
