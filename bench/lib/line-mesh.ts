import type { SnapshotService } from '#trust/snapshot.ts';
import { startStaticMesh, type StaticMesh, type StaticNodeSpec } from '../../tests/harness/static-mesh.ts';

/** A mesh in a line: a, relays r1 … rN, b; service `target` at b leads to a port of this host, and a forwards it. */
export interface LineMesh {
  readonly mesh: StaticMesh;
  readonly names: readonly string[];
  /** The port at a that leads to the target. */
  readonly port: number;
}

const PATH_TIMEOUT_MS = 10_000;

export async function startLineMesh(relays: number, targetPort: number): Promise<LineMesh> {
  const names = ['a', ...Array.from({ length: relays }, (_, i) => `r${i + 1}`), 'b'];
  const specs: StaticNodeSpec[] = names.map((name, i) => ({
    name,
    relay: i > 0 && i < names.length - 1,
    links: [names[i - 1], names[i + 1]].filter((each) => each !== undefined),
    forwards: name === 'a' ? ['target'] : [],
  }));
  const mesh = await startStaticMesh(specs, [{ name: 'target', instances: targetAt(targetPort) }]);
  await awaitPath(mesh, 'a', 'b');
  return { mesh, names, port: mesh.port('a', 'target') };
}

/** One instance of a service at b, on its loopback. */
export function targetAt(port: number): SnapshotService['instances'] {
  return [{ node: 'b', host: '127.0.0.1', port, proxyProtocol: false }];
}

/** Waits until `from` knows a way to `to`. */
export async function awaitPath(mesh: StaticMesh, from: string, to: string): Promise<void> {
  const deadlineMs = performance.now() + PATH_TIMEOUT_MS;
  while (performance.now() < deadlineMs) {
    const { paths } = await mesh.status(from);
    if (paths[to]?.primary !== undefined) return;
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
  throw new Error(`${from} found no path to ${to}`);
}
