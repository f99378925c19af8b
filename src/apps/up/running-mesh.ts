import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CodedError } from '#control/coded-error.ts';
import { AdminClient, isObject, type JsonObject } from '#io/admin-client-http/admin-client.ts';
import { ChildProgram } from '#io/child-programs/child-program.ts';
import { openDemoService } from '#io/demo-http/demo-service.ts';
import type { Listener } from '#io/edge-listener/tcp-listener.ts';
import { ensurePrivateDirectory } from '#io/files-node/private-files.ts';
import type { Guest } from './banner.ts';
import type { UpConfig } from './config.ts';
import { controlArguments, type MeshPlan, nodeArguments, type PlannedNode } from './plan.ts';

/** Six nodes on two cores are ready in a few seconds; this is for a machine that is busy with other things. */
const READY_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 100;
const GUEST_NAMES = ['paris', 'quito', 'seoul', 'turin', 'ulsan', 'vigo', 'wien', 'york', 'zagreb'] as const;
/** What only the control plane may know. */
const CONTROL_SECRETS = { DATABASE_URL: undefined, REDIS_URL: undefined };
const entry = fileURLToPath(new URL('../cli/main.ts', import.meta.url));

/** The processes of `x0 up`. */
export class RunningMesh {
  readonly #config: UpConfig;
  readonly #plan: MeshPlan;
  readonly #client: AdminClient;
  readonly #children: ChildProgram[] = [];
  #nodes: readonly PlannedNode[] = [];
  #demo: Listener | undefined;
  #isStopping = false;
  readonly #onDeath: (name: string, how: string, isDrained: boolean) => void;

  constructor(config: UpConfig, plan: MeshPlan, onDeath: (name: string, how: string, isDrained: boolean) => void) {
    this.#config = config;
    this.#plan = plan;
    this.#client = new AdminClient(config.dataDir);
    this.#onDeath = onDeath;
  }

  /** The planned nodes that run: those whose identity was not revoked. */
  get nodes(): readonly PlannedNode[] {
    return this.#nodes;
  }

  /** Starts everything and resolves when every planned link is up. Rejects with the first failure; call `stop` then. */
  async start(): Promise<void> {
    ensurePrivateDirectory(join(this.#config.dataDir, 'logs'));
    this.#demo = await openDemoService(this.#plan.hello, this.#plan.helloNode);
    await this.#startChild('control', controlArguments(this.#plan, this.#config.dataDir));
    const admitted = await this.#admittedNodes();
    const found = await Promise.all(
      this.#plan.nodes.map(async (node) => ({
        node,
        identity: await this.#judgeIdentity(node, admitted.has(node.name)),
      })),
    );
    const starting = found.filter(({ identity }) => identity !== 'revoked');
    this.#nodes = starting.map(({ node }) => node);
    await Promise.all(starting.map(async ({ node, identity }) => this.#startNode(node, identity === 'valid')));
    if (this.#nodes.some(({ name }) => name === this.#plan.helloNode)) await this.#publishHello();
    await this.#awaitLinks();
  }

  /** A join token for the first name that no node has yet; undefined when each has one. */
  async createGuestToken(): Promise<Guest | undefined> {
    const taken = await this.#admittedNodes();
    const node = GUEST_NAMES.find((name) => !taken.has(name));
    if (node === undefined) return undefined;
    const { token } = await this.#client.ask('POST', '/tokens', { node });
    return { node, token: String(token) };
  }

  /** With which the first admin registers; undefined when there is one. */
  async createFirstCode(): Promise<string | undefined> {
    const { code } = await this.#client.ask('POST', '/users/first-code');
    return typeof code === 'string' ? code : undefined;
  }

  /** Whether the control plane, if it answers, says that the node of this name was revoked. */
  async isRevoked(name: string): Promise<boolean> {
    const nodes = await this.#admittedNodes().catch(reasonToWait);
    return typeof nodes !== 'string' && nodes.get(name)?.['revoked'] === true;
  }

  /** Ends every process, the nodes first. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#children.map(async (child) => child.stop()));
    await this.#demo?.close();
  }

  /** Of the identity in the node's directory; one without any is admitted anew, which is how a revoked node comes back. */
  async #judgeIdentity(node: PlannedNode, isAdmitted: boolean): Promise<'none' | 'valid' | 'revoked'> {
    ensurePrivateDirectory(node.dataDir);
    if (!isAdmitted) return 'none';
    // Loaded late: a first start needs no X.509 in this process.
    const { loadIdentity } = await import('#io/files-node/identity-files.ts');
    const identity = loadIdentity(node.dataDir);
    if (identity === undefined) return 'none';
    const path = `/nodes/${node.name}/certificates/${identity.certificate.serial}`;
    const { revoked } = await this.#client.ask('GET', path);
    return revoked === true ? 'revoked' : 'valid';
  }

  async #startNode(node: PlannedNode, hasIdentity: boolean): Promise<void> {
    const admission = hasIdentity ? {} : await this.#admission(node);
    await this.#startChild(node.name, nodeArguments(this.#plan, node), { ...admission, ...CONTROL_SECRETS });
  }

  async #admission(node: PlannedNode): Promise<Readonly<Record<string, string>>> {
    const { token } = await this.#client.ask('POST', '/tokens', {
      node: node.name,
      relay: node.relay,
      ...(node.links === undefined ? {} : { links: [...node.links] }),
    });
    return { X0_JOIN: String(token) };
  }

  async #admittedNodes(): Promise<ReadonlyMap<string, JsonObject>> {
    const { nodes } = await this.#client.askAll('/nodes', 'nodes');
    return new Map(listOfObjects(nodes).map((node) => [String(node['name']), node]));
  }

  async #startChild(
    name: string,
    args: readonly string[],
    environment: Readonly<Record<string, string | undefined>> = {},
  ): Promise<void> {
    if (this.#isStopping) throw new CodedError('CHILD_ENDED', 'stopped while starting');
    const logPath = join(this.#config.dataDir, 'logs', `${name}.log`);
    const child = new ChildProgram({ name, args: [entry, ...args], environment, logPath });
    this.#children.push(child);
    await child.ready;
    void child.exited.then((how) => {
      if (!this.#isStopping) this.#onDeath(name, how, child.isDrained);
    });
  }

  async #publishHello(): Promise<void> {
    const { host, port } = this.#plan.hello;
    await this.#client.ask('PUT', `/services/hello/instances/${this.#plan.helloNode}`, { host, port });
  }

  async #awaitLinks(): Promise<void> {
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    for (;;) {
      const waiting = await this.#findUnready().catch(reasonToWait);
      if (waiting === undefined || this.#isStopping) return;
      if (performance.now() > deadlineMs) {
        throw new CodedError('MESH_NOT_READY', `${waiting}; the logs are in ${join(this.#config.dataDir, 'logs')}`);
      }
      await new Promise((resolve) => {
        setTimeout(resolve, READY_POLL_MS);
      });
    }
  }

  async #findUnready(): Promise<string | undefined> {
    const { nodes } = await this.#client.ask('GET', '/status');
    const byName = new Map(listOfObjects(nodes).map((node) => [node['name'], node]));
    const missing = this.#plan.nodes.length - this.#nodes.length;
    for (const { name, expectedPeers } of this.#nodes) {
      const node = byName.get(name);
      if (node?.['state'] !== 'up') return `${name} is not up`;
      const peers = listOfObjects(node['peers']).filter((peer) => peer['state'] === 'up').length;
      if (peers < expectedPeers - missing) return `${name} has ${peers} of ${expectedPeers} links`;
    }
    return missing === 0 ? await this.#findNoPath() : undefined;
  }

  /** Links are up before everyone has heard of them: ready is when the client's node reaches the service's, two ways. */
  async #findNoPath(): Promise<string | undefined> {
    const { clientNode, helloNode } = this.#plan;
    const { primary, backup } = await this.#client.ask('GET', `/nodes/${clientNode}/path?to=${helloNode}`);
    const [first, second] = [relaysOf(primary), relaysOf(backup)];
    if (first.length === 0 || second.length === 0 || first.some((name) => second.includes(name))) {
      return `${clientNode} does not know two paths to ${helloNode} that share no relay`;
    }
    await this.#client.ask('GET', `/nodes/${clientNode}/ping?to=${helloNode}`);
    return undefined;
  }
}

/** The inner hops of a path; empty when there is none. */
function relaysOf(path: unknown): readonly unknown[] {
  const hops = isObject(path) ? path['hops'] : undefined;
  return Array.isArray(hops) ? hops.slice(1, -1) : [];
}

function listOfObjects(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** A node that cannot answer yet is asked again; what is no refusal is a bug. */
function reasonToWait(error: unknown): string {
  if (error instanceof CodedError) return `${error.code}: ${error.message}`;
  throw error;
}
