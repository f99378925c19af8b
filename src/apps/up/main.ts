import { join } from 'node:path';
import { CodedError } from '#control/coded-error.ts';
import { ensurePrivateDirectory } from '#io/files-node/private-files.ts';
import { probePorts } from '#io/port-probe/port-probe.ts';
import { directoryHolder, type DirectoryLock, lockDirectory } from '#io/files-node/directory-lock.ts';
import { formatBanner, formatReadmission, formatRestart, restartLines } from './banner.ts';
import type { UpConfig } from './config.ts';
import { type MeshPlan, plannedAddresses, planMesh } from './plan.ts';
import { chooseFreePorts, choosePorts, rememberPorts } from './ports.ts';
import { rememberRestarts, restartAdvice } from './restart-lines.ts';
import { RunningMesh } from './running-mesh.ts';

/** Losing the race for a free port this often in a row is no accident. */
const RACE_LIMIT = 3;

/** `x0 up`: a whole mesh on this host. */
export class Up {
  readonly #config: UpConfig;
  readonly #print: (text: string) => void;
  #lock: DirectoryLock | undefined;
  #mesh: RunningMesh | undefined;
  #plan: MeshPlan | undefined;
  #isStopped = false;

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
      await this.#startSomewhere(startedMs);
    } catch (error) {
      await this.#end();
      throw withAdvice(error, this.#startedByHand());
    }
  }

  /** Free ports may be taken by another program before they are used; then others are. */
  async #startSomewhere(startedMs: number): Promise<void> {
    let ports = await choosePorts(this.#config);
    for (let race = 1; ; race++) {
      try {
        await this.#startAt(ports, startedMs);
        return;
      } catch (error) {
        const isRace = error instanceof CodedError && error.code === 'PORT_IN_USE';
        if (!isRace || this.#config.ports?.kind !== 'free' || race === RACE_LIMIT || this.#isStopped) throw error;
        await this.#mesh?.stop();
        ports = await chooseFreePorts();
      }
    }
  }

  async #startAt(ports: readonly number[], startedMs: number): Promise<void> {
    const plan = planMesh(this.#config.dataDir, this.#config.host, ports);
    this.#plan = plan;
    await probePorts(plannedAddresses(plan));
    rememberPorts(this.#config.dataDir, ports);
    rememberRestarts(this.#config.dataDir, restartLines(this.#config, plan));
    this.#mesh = this.#createMesh(plan);
    await this.#mesh.start();
    const codes = { guest: await this.#mesh.createGuestToken(), firstCode: await this.#mesh.createFirstCode() };
    this.#print(formatBanner(this.#config, plan, this.#mesh.nodes, codes, performance.now() - startedMs));
  }

  /** Ends every process that was started, and says so. */
  async stop(): Promise<void> {
    const { dataDir } = this.#config;
    await this.#end();
    const others = this.#startedByHand();
    const left = others.length === 0 ? '' : `; still running, because started by hand: ${others.join(', ')}`;
    this.#print(`stopped; state kept in ${dataDir}${left}`);
  }

  /** Programs of the plan that run though none of ours does any more. */
  #startedByHand(): readonly string[] {
    if (this.#plan === undefined) return [];
    return [{ name: 'control', dataDir: this.#config.dataDir }, ...this.#plan.nodes].flatMap(({ name, dataDir }) => {
      const holder = directoryHolder(dataDir);
      if (holder === undefined) return [];
      return holder.pid === undefined ? name : `${name} (kill ${holder.pid})`;
    });
  }

  async #end(): Promise<void> {
    this.#isStopped = true;
    await this.#mesh?.stop();
    this.#lock?.release();
    this.#lock = undefined;
  }

  #printDrained(plan: MeshPlan, name: string): void {
    this.#print(`${name} was drained and stopped; ${restartAdvice(formatRestart(this.#config, plan, name))}`);
  }

  #createMesh(plan: MeshPlan): RunningMesh {
    const mesh = new RunningMesh(this.#config, plan, (name, how, isDrained) => {
      if (isDrained) return this.#printDrained(plan, name);
      void mesh.isRevoked(name).then((isRevoked) => {
        if (this.#isStopped) return;
        const remedy = isRevoked
          ? formatReadmission(this.#config, plan, name)
          : restartAdvice(formatRestart(this.#config, plan, name));
        this.#print(`x0: CHILD_ENDED: ${name} ended (${how}); ${remedy}`);
      });
    });
    return mesh;
  }
}

/** The same failure with what helps: stopping programs of this mesh that somebody started by hand, or a flag of `x0 up`. */
function withAdvice(error: unknown, startedByHand: readonly string[]): unknown {
  if (!(error instanceof CodedError)) return error;
  const { code, message } = error;
  if (code === 'PORT_IN_USE' && startedByHand.length > 0) {
    const [where = ''] = message.split(';');
    const who = startedByHand.join(', ');
    return new CodedError(code, `${where}; of this mesh run already, started by hand: ${who}; stop them first`);
  }
  if (code === 'PORT_IN_USE') return new CodedError(code, `${message}: --ports-base PORT or --ephemeral`);
  if (code === 'ADDRESS_NOT_HERE') return new CodedError(code, `${message}; give --host one that \`ip addr\` shows`);
  return error;
}
