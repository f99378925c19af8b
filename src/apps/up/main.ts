import { join } from 'node:path';
import { CodedError } from '#control/coded-error.ts';
import { ensurePrivateDirectory } from '#io/files-node/private-files.ts';
import { probePorts } from '#io/port-probe/port-probe.ts';
import { type DirectoryLock, lockDirectory } from '#io/store-sqlite/directory-lock.ts';
import { formatBanner, formatRestart, restartLines } from './banner.ts';
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
      await this.stop();
      throw withAdvice(error);
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
    await probePorts(plannedAddresses(plan));
    rememberPorts(this.#config.dataDir, ports);
    rememberRestarts(this.#config.dataDir, restartLines(this.#config, plan));
    this.#mesh = this.#createMesh(plan);
    await this.#mesh.start();
    const join = await this.#mesh.createGuestToken();
    this.#print(formatBanner(this.#config, plan, this.#mesh.nodes, join, performance.now() - startedMs));
  }

  /** Ends every process that was started. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#mesh?.stop();
    this.#lock?.release();
    this.#lock = undefined;
  }

  #createMesh(plan: MeshPlan): RunningMesh {
    return new RunningMesh(this.#config, plan, (name, how) => {
      const again = formatRestart(this.#config, plan, name);
      this.#print(`x0: CHILD_ENDED: ${name} ended (${how}); ${restartAdvice(again)}`);
    });
  }
}

/** The same failure with the flags of `x0 up` that help. */
function withAdvice(error: unknown): unknown {
  if (!(error instanceof CodedError)) return error;
  const { code, message } = error;
  if (code === 'PORT_IN_USE') return new CodedError(code, `${message}: --ports-base PORT or --ephemeral`);
  if (code === 'ADDRESS_NOT_HERE') return new CodedError(code, `${message}; give --host one that \`ip addr\` shows`);
  return error;
}
