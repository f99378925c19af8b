import { expect, test } from 'vitest';
import { NodeNet } from '#mesh/node/node-net.ts';
import { Freshness } from '#trust/freshness.ts';
import { DIAMOND, payload, sha256, write } from '../../../tests/fixtures/diamond-net.ts';

/** A minute stands for an hour. */
const LIFE_MS = 24 * 60_000;
const STALE_AFTER_MS = LIFE_MS / 2;

test('without its control plane a mesh works on for half the life of its certificates, then ends what nobody vouches for', () => {
  const freshness = new Freshness(STALE_AFTER_MS);
  const isStale = (): boolean => freshness.isStale(net?.nowMs ?? 0, net?.wallMs ?? 0);
  const policy = {
    denialOf: () => (isStale() ? { code: 'SNAPSHOT_STALE' } : undefined),
    epoch: () => String(isStale()),
    startSlice: () => () => true,
  };
  let net: NodeNet | undefined;
  const believe = (at: NodeNet): void => freshness.handleBelieved(at.wallMs, at.nowMs, at.wallMs);
  const mesh = new NodeNet({ ...DIAMOND, services: { hello: ['end-b'] }, certificateLifeMs: LIFE_MS, policy }, sha256);
  net = mesh;
  believe(mesh);
  mesh.converge();
  const near = mesh.open('end-a', 'hello');
  const far = mesh.incoming('end-b');
  // The worst moment: just before the certificates are renewed.
  mesh.run(LIFE_MS / 2 - 10_000 - mesh.nowMs);
  believe(mesh);
  mesh.isControlAway = true;
  mesh.run(STALE_AFTER_MS - 2_000);
  const bytes = payload(200_000);
  write(mesh, 'end-a', near, bytes);
  mesh.run(1_000);
  expect(mesh.at('end-b').got(far)).toEqual(bytes);
  expect(mesh.open('end-a', 'hello').state).toBe('open');
  mesh.run(2_000);
  expect(near.endReason).toMatchObject({ code: 'SNAPSHOT_STALE' });
  expect(mesh.open('end-a', 'hello').endReason).toMatchObject({ code: 'SNAPSHOT_STALE' });
  believe(mesh);
  mesh.run(500);
  expect(mesh.open('end-a', 'hello').state).toBe('open');
});
