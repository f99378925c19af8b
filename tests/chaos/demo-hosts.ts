import { readFileSync } from 'node:fs';
import { Network } from '../harness/namespaces.ts';

const SWITCH = 'switch';
/** Where all share one host, each has a block of ports. */
const PORT_STEP = 100;
const FIRST_PORT = 20_000;

/** The hosts of the demonstration: network namespaces on one switch, or one host with ports apart. */
export class DemoHosts {
  readonly areApart: boolean;
  readonly #names: readonly string[];
  readonly #network: Network | undefined;

  constructor(names: readonly string[], areApart: boolean) {
    this.areApart = areApart;
    this.#names = names;
    if (!areApart) return;
    const network = new Network();
    this.#network = network;
    network.addSwitch(SWITCH);
    for (const name of names) {
      network.addHost(name);
      network.plug(name, `${this.#address(name)}/24`, SWITCH);
    }
  }

  /** The words that run a program on a host. */
  on(host: string, program: string, ...args: readonly string[]): [string, ...string[]] {
    return this.#network === undefined ? [program, ...args] : this.#network.on(host, program, ...args);
  }

  /** An address that the other hosts reach. */
  endpoint(host: string, port: number): string {
    return this.areApart ? `${this.#address(host)}:${port}` : `127.0.0.1:${this.#portOf(host, port)}`;
  }

  /** An address on the host's own loopback. */
  local(host: string, port: number): string {
    return `127.0.0.1:${this.areApart ? port : this.#portOf(host, port)}`;
  }

  /** Bytes that a host, or where all share one its process, has received so far. */
  bytesThrough(host: string, pid: number | undefined): number {
    if (this.#network === undefined) return readBytes(pid);
    const lines = this.#network.run(host, 'cat', '/proc/net/dev').split('\n');
    const device = lines.find((line) => line.includes(':') && !line.trimStart().startsWith('lo:'));
    return Number(device?.split(':')[1]?.trim().split(/\s+/)[0] ?? 0);
  }

  /** Nothing reaches the host, and nothing leaves it. */
  cutOff(host: string): void {
    this.#network?.cutOff(host);
  }

  reconnect(host: string): void {
    this.#network?.unfilter(host);
  }

  remove(): void {
    this.#network?.remove();
  }

  #address(name: string): string {
    return `10.80.0.${1 + this.#names.indexOf(name)}`;
  }

  #portOf(host: string, port: number): number {
    return FIRST_PORT + PORT_STEP * this.#names.indexOf(host) + (port % PORT_STEP);
  }
}

/** What a process has read by system calls; 0 for one that is gone. */
function readBytes(pid: number | undefined): number {
  try {
    return Number(/^rchar: (\d+)/m.exec(readFileSync(`/proc/${pid ?? 0}/io`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
