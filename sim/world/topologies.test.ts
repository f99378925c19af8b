import { expect, test } from 'vitest';
import { SeededRandom } from '#kernel/random.ts';
import { type MeshPlan, possibleLinks } from './mesh-plan.ts';
import { randomMesh } from './topologies.ts';

const MESHES = 3_000;

test('every random mesh is joined by links that can be, also where nodes dial only', () => {
  let dialOnly = 0;
  for (let seed = 1; seed <= MESHES; seed++) {
    const mesh = randomMesh(new SeededRandom(seed));
    dialOnly += mesh.members.filter(({ dialsOnly }) => dialsOnly).length;
    expect.soft(cutOffIn(mesh), `seed ${seed}`).toEqual([]);
  }
  expect(dialOnly).toBeGreaterThan(MESHES / 10);
});

function cutOffIn(mesh: MeshPlan): readonly string[] {
  const names = mesh.members.map(({ name }) => name);
  if (mesh.links === undefined) return [];
  const possible = possibleLinks(mesh);
  const joined = new Set(names.slice(0, 1));
  for (const name of joined) for (const [a, b] of possible) if (a === name || b === name) joined.add(a).add(b);
  return names.filter((name) => !joined.has(name));
}
