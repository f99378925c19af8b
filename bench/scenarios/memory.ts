import { freePort, startStaticMesh, type StaticNodeSpec } from '../../tests/harness/static-mesh.ts';
import { RawPeer } from '../../tests/harness/raw-peer.ts';
import type { Figure, Scenario } from '../lib/figure.ts';
import { startLineMesh } from '../lib/line-mesh.ts';
import { TrafficProcess } from '../lib/traffic.ts';

const MEBIBYTE = 1024 ** 2;
const KIBIBYTE = 1024;
const STALLED_CIRCUITS = 1_000;
const LOST_CIRCUITS = 5_000;
const LINKS = 100;
const STREAMS = 1_000;

/** What a node holds: for stalled circuits, a link, an idle stream; and what it survives when circuits are lost together. */
export const memory: Scenario = {
  name: 'memory',
  about: `a relay with ${STALLED_CIRCUITS} stalled circuits, ${LOST_CIRCUITS} lost at once, ${LINKS} links, ${STREAMS} idle streams`,
  run: async () => [...(await circuits()), ...(await links()), ...(await idleStreams())],
};

const relaySpec = (links: readonly string[]): StaticNodeSpec => ({ name: 'r', relay: true, links });
const memberSpec = (name: string): StaticNodeSpec => ({ name, relay: false, links: ['r'] });

async function circuits(): Promise<readonly Figure[]> {
  const members = ['a', 'b', 'c', 'd'];
  const mesh = await startStaticMesh([relaySpec(members)], [], members.map(memberSpec));
  const [a, b, c, d] = await Promise.all(
    members.map(async (name) => RawPeer.link(mesh.ca, name, 'r', mesh.linkPort('r'))),
  );
  if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error('no peers');
  acceptAll(b);
  acceptAll(d);
  await openAccepted(a, 'b', STALLED_CIRCUITS, new Uint8Array(262_144));
  await settle();
  const stalled = (await mesh.status('r')).memory.rss / MEBIBYTE;
  await openAccepted(a, 'b', LOST_CIRCUITS - STALLED_CIRCUITS, undefined);
  await openAccepted(c, 'd', 1, undefined);
  const before = await mesh.status('r');
  await a.close();
  await settle();
  const after = await mesh.status('r');
  const othersUp = after.tunnels.filter(({ peer, state }) => peer !== 'a' && state === 'up').length;
  await mesh.stop();
  const lost = before.circuits - after.circuits;
  return [
    figure(`relay with ${STALLED_CIRCUITS} stalled circuits, RSS`, stalled, 'MiB', 256),
    {
      name: 'circuits lost at once with one neighbour',
      value: lost,
      unit: '',
      bar: { kind: 'exactly', value: LOST_CIRCUITS },
      samples: [lost],
    },
    {
      name: 'other links that stayed up, of 3',
      value: othersUp,
      unit: '',
      bar: { kind: 'exactly', value: 3 },
      samples: [othersUp],
    },
    {
      name: 'other circuits that stayed open, of 1',
      value: after.circuits,
      unit: '',
      bar: { kind: 'exactly', value: 1 },
      samples: [after.circuits],
    },
  ];
}

async function links(): Promise<readonly Figure[]> {
  const names = Array.from({ length: LINKS }, (_, i) => `n${i}`);
  const mesh = await startStaticMesh([relaySpec(names)], [], names.map(memberSpec));
  const peers: RawPeer[] = [];
  const link = async (name: string): Promise<unknown> =>
    peers.push(await RawPeer.link(mesh.ca, name, 'r', mesh.linkPort('r')));
  const [first = '', ...others] = names;
  // The first one starts the detector's thread, which the figure of an idle node holds.
  await link(first);
  await settle();
  const idle = (await mesh.status('r')).memory.rss;
  for (const name of others) await link(name);
  await settle();
  const loaded = (await mesh.status('r')).memory.rss;
  for (const peer of peers) await peer.close();
  await mesh.stop();
  return [figure('a link, RSS', (loaded - idle) / others.length / KIBIBYTE, 'KiB', 250)];
}

async function idleStreams(): Promise<readonly Figure[]> {
  const port = await freePort();
  const echo = await new TrafficProcess().serve('echo', port);
  const holder = new TrafficProcess();
  const { mesh, port: forward } = await startLineMesh(0, port);
  await holder.rounds(forward, 20, true);
  const rss = async (): Promise<readonly number[]> =>
    await Promise.all(['a', 'b'].map(async (name) => (await mesh.status(name)).memory.rss));
  const before = await rss();
  await holder.hold(forward, STREAMS, false);
  await settle();
  const after = await rss();
  await mesh.stop();
  echo.stop();
  holder.stop();
  const each = after.map((bytes, i) => (bytes - (before[i] ?? 0)) / STREAMS / KIBIBYTE);
  return [figure('an idle stream, RSS of the dearer end', Math.max(...each), 'KiB', 48)];
}

function figure(name: string, value: number, unit: string, most: number): Figure {
  return { name, value, unit, bar: { kind: 'at most', value: most }, samples: [value] };
}

function acceptAll(peer: RawPeer): void {
  peer.onEvent = (event) => {
    if (event.kind === 'opened') peer.mux.accept(event.stream);
  };
}

/** Opens circuits through r and waits until the far end accepted each; then sends on each what fits, if anything. */
async function openAccepted(peer: RawPeer, to: string, count: number, load: Uint8Array | undefined): Promise<void> {
  const done = Promise.withResolvers<void>();
  let accepted = 0;
  peer.onEvent = (event) => {
    if (event.kind === 'refused') done.reject(new Error(event.reason.code));
    if (event.kind !== 'accepted') return;
    if (load !== undefined) peer.mux.send(event.stream, load, performance.now());
    accepted++;
    if (accepted === count) done.resolve();
  };
  for (let i = 0; i < count; i++) peer.openCircuit([to]);
  peer.pump();
  await done.promise;
  peer.pump();
}

/** Until what was sent has been taken in or stalls, and freed memory has been given back. */
async function settle(): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, 3_000);
  });
}
