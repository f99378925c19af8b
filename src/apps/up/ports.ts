import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePorts } from '#io/port-probe/port-probe.ts';
import { PORTS_OF_A_MESH, type UpConfig } from './config.ts';
import { defaultPorts, portBlock } from './plan.ts';

interface RememberedPorts {
  readonly format: 1;
  readonly ports: readonly number[];
}

/** Ports that are free now, for all programs of a mesh. */
export async function chooseFreePorts(): Promise<readonly number[]> {
  return await findFreePorts('127.0.0.1', PORTS_OF_A_MESH);
}

/** The mesh's ports: those that were asked for, else those of the last start in this data directory, else the documented ones. */
export async function choosePorts(config: UpConfig): Promise<readonly number[]> {
  if (config.ports?.kind === 'base') return portBlock(config.ports.base);
  const last = recallPorts(config.dataDir);
  if (last !== undefined) return last;
  return config.ports?.kind === 'free' ? await chooseFreePorts() : defaultPorts();
}

/** Keeps the ports for the next start: what joined this mesh knows them. */
export function rememberPorts(dataDir: string, ports: readonly number[]): void {
  const remembered: RememberedPorts = { format: 1, ports };
  writeFileSync(portsPath(dataDir), JSON.stringify(remembered), { mode: 0o600 });
}

function recallPorts(dataDir: string): readonly number[] | undefined {
  const path = portsPath(dataDir);
  if (!existsSync(path)) return undefined;
  const remembered = JSON.parse(readFileSync(path, 'utf8')) as Partial<RememberedPorts>;
  const { format, ports } = remembered;
  return format === 1 && ports?.length === PORTS_OF_A_MESH ? ports : undefined;
}

function portsPath(dataDir: string): string {
  return join(dataDir, 'up.json');
}
