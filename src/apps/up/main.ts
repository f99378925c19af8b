import { join } from 'node:path';
import { ensurePrivateDirectory } from '#io/files-node/private-files.ts';
import { probePorts } from '#io/port-probe/port-probe.ts';
import { type DirectoryLock, lockDirectory } from '#io/store-sqlite/directory-lock.ts';
import { formatBanner, formatRestart } from './banner.ts';
import type { UpConfig } from './config.ts';
import { type MeshPlan, plannedAddresses, planMesh } from './plan.ts';
import { choosePorts, rememberPorts } from './ports.ts';
import { RunningMesh } from './running-mesh.ts';

/** `x0 up`: a whole mesh on this host. */
export class Up {
  readonly #config: UpConfig;
  readonly #print: (text: string) => void;
  #lock: DirectoryLock | undefined;
  #mesh: RunningMesh | undefined;

  constructor(config: UpConfig, print: (text: string) => void) {
    this.#config = config;
    this.#print = print;
  }

  /**
   * Starts a control plane and six nodes and prints what is where. Rejects with a `CodedError` and leaves nothing running:
   * `DATA_DIR_IN_USE`, `PORT_IN_USE`, `ADDRESS_NOT_HERE`, `MESH_NOT_READY`, or what a child failed with.
   */
  async start(): Promise<void> {
    const startedMs = performance.now();
    const nodes = join(this.#config.dataDir, 'nodes');
    ensurePrivateDirectory(this.#config.dataDir);
    ensurePrivateDirectory(nodes);
    this.#lock = lockDirectory(nodes);
    try {
      const ports = await choosePorts(this.#config);
      const plan = planMesh(this.#config.dataDir, this.#config.host, ports);
      await probePorts(plannedAddresses(plan));
      rememberPorts(this.#config.dataDir, ports);
      this.#mesh = this.#createMesh(plan);
      await this.#mesh.start();
      const join = await this.#mesh.createGuestToken();
      this.#print(formatBanner(this.#config, plan, join, performance.now() - startedMs));
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Ends every process that was started. */
  async stop(): Promise<void> {
    await this.#mesh?.stop();
    this.#lock?.release();
    this.#lock = undefined;
  }

  #createMesh(plan: MeshPlan): RunningMesh {
    return new RunningMesh(this.#config, plan, (name, how) => {
      const again = formatRestart(this.#config, plan, name);
      this.#print(`x0: CHILD_ENDED: ${name} ended (${how}); start it again in another terminal: ${again}`);
    });
  }
}
