import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { PROGRAM_ENVIRONMENT, PROGRAM_FLAGS } from '../../bin/program-flags.js';
import { Network, type PacketFilter } from '../harness/namespaces.ts';
import { awaitPath, startStaticMesh, type StaticMesh, targetAt } from '../harness/static-mesh.ts';
import type { StaticNodeStatus } from '../harness/static-node.ts';
import { nodesOf, specsOf, type Topology } from './topologies.ts';
import type { TrafficOrder, TrafficReport } from './traffic-child.ts';

const SWITCH = 'switch';
const ECHO_PORT = 7_070;
const FINISH_TIMEOUT_MS = 90_000;

/** A mesh of real processes without a control plane, each node in a namespace of its own unless `isLocal`, and traffic through it. */
export class ChaosMesh {
  readonly topology: Topology;
  readonly #mesh: StaticMesh;
  readonly #network: Network | undefined;
  readonly #devices: ReadonlyMap<string, string>;
  readonly #client: ChildProcess;
  readonly #server: ChildProcess;
  /** A frozen node does not see that nobody is there any more. */
  readonly #killAtExit = (): void => this.#kill();

  private constructor(
    topology: Topology,
    mesh: StaticMesh,
    network: Network | undefined,
    devices: ReadonlyMap<string, string>,
    client: ChildProcess,
    server: ChildProcess,
  ) {
    this.topology = topology;
    this.#mesh = mesh;
    this.#network = network;
    this.#devices = devices;
    this.#client = client;
    this.#server = server;
    process.once('exit', this.#killAtExit);
  }

  static async start(topology: Topology, isLocal: boolean): Promise<ChaosMesh> {
    const network = isLocal ? undefined : new Network();
    const devices = network === undefined ? new Map<string, string>() : wire(network, topology);
    const wrapOf = (name: string): readonly string[] => network?.on(name) ?? [];
    const [from, to] = topology.ends;
    const echoPort = isLocal ? ECHO_PORT + (process.pid % 10_000) : ECHO_PORT;
    const mesh = await startStaticMesh(
      specsOf(topology, (name) => (isLocal ? {} : { wrap: wrapOf(name), host: addressOf(topology, name) })),
      [{ name: 'echo', instances: targetAt(echoPort, to) }],
    );
    const server = startTraffic(wrapOf(to));
    await tell(server, { order: 'serve', port: echoPort });
    await awaitPath(mesh, from, to);
    return new ChaosMesh(topology, mesh, network, devices, startTraffic(wrapOf(from)), server);
  }

  async run(streams: number): Promise<void> {
    const port = this.#mesh.port(this.topology.ends[0], 'echo');
    await tell(this.#client, { order: 'run', port, streams });
  }

  /** Ends all streams in good order and says what became of them. */
  async finish(): Promise<TrafficReport> {
    const timeout = AbortSignal.timeout(FINISH_TIMEOUT_MS);
    const answered = once(this.#client, 'message', { signal: timeout }) as Promise<[TrafficReport]>;
    this.#client.send({ order: 'finish' } satisfies TrafficOrder);
    return (await answered)[0];
  }

  async status(node: string): Promise<StaticNodeStatus> {
    return await this.#mesh.status(node);
  }

  /** Whether both ends have two ways that share no relay, standing. */
  async isProtected(): Promise<boolean> {
    const [from, to] = this.topology.ends;
    const [near, far] = [await this.status(from), await this.status(to)];
    const standing = near.tunnels.filter(({ peer, via, state }) => peer === to && via === 'circuit' && state === 'up');
    return near.paths[to]?.protected === true && far.paths[from]?.protected === true && standing.length >= 2;
  }

  /** The relays that the streams run through now. */
  async relaysInUse(): Promise<readonly string[]> {
    const { streams } = await this.status(this.topology.ends[0]);
    return [...new Set(streams.flatMap(({ hops }) => hops.slice(0, -1)))];
  }

  address(node: string): string {
    return addressOf(this.topology, node);
  }

  signal(node: string, signal: NodeJS.Signals): void {
    this.#mesh.processes.get(node)?.kill(signal);
  }

  async restart(node: string): Promise<void> {
    await this.#mesh.restart(node);
  }

  /** Packets of a node that are dropped until {@link unfilter}. */
  filter(node: string, dropped: PacketFilter): void {
    this.#need().filter(node, dropped);
  }

  unfilter(node: string): void {
    this.#need().unfilter(node);
  }

  shape(node: string, discipline: readonly string[]): void {
    this.#need().run(node, 'tc', 'qdisc', 'add', 'dev', this.#device(node), 'root', ...discipline);
  }

  unshape(node: string): void {
    this.#need().run(node, 'tc', 'qdisc', 'del', 'dev', this.#device(node), 'root');
  }

  async stop(): Promise<void> {
    for (const child of [this.#client, this.#server]) child.kill('SIGKILL');
    for (const name of this.topology.relays) this.signal(name, 'SIGCONT');
    await this.#mesh.stop();
    process.off('exit', this.#killAtExit);
    this.#network?.remove();
  }

  #kill(): void {
    for (const child of [this.#client, this.#server, ...this.#mesh.processes.values()]) child.kill('SIGKILL');
  }

  #need(): Network {
    if (this.#network === undefined) throw new Error('this fault needs namespaces');
    return this.#network;
  }

  #device(node: string): string {
    const device = this.#devices.get(node);
    if (device === undefined) throw new Error(`no device of ${node}`);
    return device;
  }
}

/** Every node on one switch, in a namespace of its own. */
function wire(network: Network, topology: Topology): ReadonlyMap<string, string> {
  network.addSwitch(SWITCH);
  const devices = new Map<string, string>();
  for (const name of nodesOf(topology)) {
    network.addHost(name);
    devices.set(name, network.plug(name, `${addressOf(topology, name)}/24`, SWITCH));
  }
  return devices;
}

function addressOf(topology: Topology, name: string): string {
  return `10.79.0.${1 + nodesOf(topology).indexOf(name)}`;
}

function startTraffic(wrap: readonly string[]): ChildProcess {
  const script = fileURLToPath(new URL('./traffic-child.ts', import.meta.url));
  const command = [...wrap, process.execPath, ...PROGRAM_FLAGS, script];
  return spawn(command[0] ?? '', command.slice(1), {
    // Ends with its channel, and not when the group is interrupted, before anybody can clean up.
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ...PROGRAM_ENVIRONMENT },
  });
}

async function tell(child: ChildProcess, order: TrafficOrder): Promise<void> {
  const answered = once(child, 'message');
  child.send(order);
  await answered;
}
