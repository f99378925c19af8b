/** A control plane and as many node processes as the machine carries, in a temporary directory, as a user would start them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AdminClient, type JsonObject } from '#io/admin-client-http/admin-client.ts';
import { PROGRAM_ENVIRONMENT, PROGRAM_FLAGS } from '../../bin/program-flags.js';
import { freePort } from '../../tests/harness/free-port.ts';
import { portOf, until } from '../../tests/harness/up.ts';
import { type X0Command, X0Process } from '../../tests/harness/x0-process.ts';

/** Without the launcher, which would be a second process for each. */
const COMMAND: X0Command = [process.execPath, ...PROGRAM_FLAGS, 'src/apps/cli/main.ts'];
/** Starting at once; more only wait for each other on two cores. */
const STARTING = 6;
const CONTROL_WITHIN_MS = 30_000;
const NODE_WITHIN_MS = 60_000;

interface NodeRow {
  readonly name: string;
  readonly state: string;
  readonly listen: { readonly socks: string | null } | null;
}

export class ManyNodes {
  readonly #folder = mkdtempSync(join(tmpdir(), 'x0-many-'));
  readonly #processes: X0Process[] = [];
  readonly client = new AdminClient(join(this.#folder, 'control'));
  /** Those that were up in time, the relays first. */
  names: readonly string[] = [];

  /** Starts nodes until `wanted` are up or `withinMs` is over; the first `relays` of them relay. */
  static async start(wanted: number, relays: number, withinMs: number): Promise<ManyNodes> {
    const mesh = new ManyNodes();
    try {
      await mesh.#start(wanted, relays, performance.now() + withinMs);
      return mesh;
    } catch (error) {
      await mesh.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.map(async (each) => each.end('SIGKILL')));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** SOCKS5 ports by node. */
  async socksPorts(): Promise<ReadonlyMap<string, number>> {
    return new Map((await this.#rows()).map(({ name, listen }) => [name, portOf(listen?.socks)]));
  }

  async #start(wanted: number, relays: number, endMs: number): Promise<void> {
    const [admin, listen] = [await freePort(), await freePort()];
    const addresses = ['--admin', `127.0.0.1:${admin}`, '--listen', `127.0.0.1:${listen}`];
    this.#run('control', '--data-dir', join(this.#folder, 'control'), ...addresses);
    await until(
      async () => this.client.ask('GET', '/status').catch(() => undefined),
      (answer) => answer !== undefined,
      CONTROL_WITHIN_MS,
    );
    const names = Array.from({ length: wanted }, (_, at) => `n${String(at).padStart(2, '0')}`);
    for (let at = 0; at < wanted && performance.now() < endMs; at += STARTING) {
      const batch = names.slice(at, at + STARTING);
      await Promise.all(batch.map(async (name, index) => this.#startNode(name, at + index < relays)));
      const started = names.slice(0, at + batch.length);
      await until(
        async () => new Set((await this.#rows()).flatMap(({ name, state }) => (state === 'up' ? name : []))),
        (up) => started.every((name) => up.has(name)),
        NODE_WITHIN_MS,
      );
      this.names = started;
    }
  }

  async #startNode(name: string, isRelay: boolean): Promise<void> {
    const { token } = await this.client.ask('POST', '/tokens', { node: name, relay: isRelay });
    const link = isRelay ? ['--relay', '--link', `127.0.0.1:${await freePort()}`] : ['--link', 'off'];
    const others = ['--socks', '127.0.0.1:0', '--http', 'off', '--admin', 'off', '--join', String(token)];
    this.#run('node', '--data-dir', join(this.#folder, name), ...link, ...others);
  }

  #run(...args: readonly string[]): void {
    this.#processes.push(new X0Process(COMMAND, args, PROGRAM_ENVIRONMENT));
  }

  async #rows(): Promise<readonly NodeRow[]> {
    const { nodes } = (await this.client.ask('GET', '/status')) as JsonObject & { readonly nodes: readonly NodeRow[] };
    return nodes;
  }
}
