import {
  awaitPath,
  startStaticMesh,
  type StaticMesh,
  type StaticNodeSpec,
  targetAt,
} from '../../tests/harness/static-mesh.ts';

/** A mesh in a line: a, relays r1 … rN, b; service `target` at b leads to a port of this host, and a forwards it. */
export interface LineMesh {
  readonly mesh: StaticMesh;
  readonly names: readonly string[];
  /** The port at a that leads to the target. */
  readonly port: number;
}

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
