import { afterAll, beforeAll, expect, test } from 'vitest';
import { RawPeer } from '../harness/raw-peer.ts';
import { awaitPath, startStaticMesh, type StaticMesh, targetAt } from '../harness/static-mesh.ts';
import { echoThrough, openEcho, type TcpBackend } from '../harness/tcp.ts';

let mesh: StaticMesh;
let echo: TcpBackend;
let mal: RawPeer;

beforeAll(async () => {
  echo = await openEcho();
  mesh = await startStaticMesh(
    [
      { name: 'a', relay: false, links: ['r'], forwards: ['echo'] },
      { name: 'r', relay: true, links: ['a', 'b', 'mal'] },
      { name: 'b', relay: false, links: ['r'] },
    ],
    [{ name: 'echo', instances: targetAt(echo.port) }],
    [{ name: 'mal', relay: false, links: ['r'] }],
  );
  await awaitPath(mesh, 'a', 'b');
  mal = await RawPeer.link(mesh.ca, 'mal', 'r', mesh.linkPort('r'));
});

afterAll(async () => {
  await mal.close();
  await mesh.stop();
  await echo.close();
});

test('a member that fills a destination with silent circuits does not keep others from it, though all come by one relay', async () => {
  const opened = Promise.withResolvers<void>();
  let accepted = 0;
  mal.onEvent = (event) => {
    if (event.kind === 'accepted' && ++accepted === 300) opened.resolve();
  };
  for (let i = 0; i < 300; i++) mal.openCircuit(['b']);
  mal.pump();
  await opened.promise;
  expect(await echoThrough(mesh.port('a', 'echo'))).toBe('hello');
  const { counters } = await mesh.status('b');
  expect(counters['secure-failed-HANDSHAKE_CAP']).toBeGreaterThan(200);
});
