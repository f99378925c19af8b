import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { StreamKind } from '#mesh/mux/frame.ts';
import { MessageReader } from '#mesh/node/message-reader.ts';
import { NodeNet } from '#mesh/node/node-net.ts';
import type { SignedSnapshot } from '#trust/signed-snapshot.ts';

const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());
const SIGNER = new Uint8Array(5_000).fill(7);

function snapshot(version: number, bytes: number): SignedSnapshot {
  const body = new Uint8Array(bytes).fill(version);
  const header = {
    version,
    bodyHash: sha256(body),
    issuedAtMs: version,
    signerHash: sha256(SIGNER),
    signature: SIGNER,
  };
  return { header, body, signer: SIGNER };
}

/** Four nodes in a row, each believing what it is offered. */
function startRow(): { readonly net: NodeNet; readonly versions: () => readonly (number | undefined)[] } {
  const names = ['a', 'b', 'c', 'd'];
  const links = [
    ['a', 'b'],
    ['b', 'c'],
    ['c', 'd'],
  ] as const;
  const net = new NodeNet({ members: names.map((name) => ({ name })), links }, sha256);
  const believed = new Map<string, SignedSnapshot>();
  for (const name of names) {
    net.at(name).believe = (offer) => {
      const whole = { ...offer, body: offer.body ?? believed.get(name)?.body ?? new Uint8Array() };
      believed.set(name, whole);
      return whole;
    };
  }
  net.converge();
  return { net, versions: () => names.slice(1).map((name) => believed.get(name)?.header.version) };
}

test('what one node believes goes from neighbour to neighbour, to those who link later too', () => {
  const { net, versions } = startRow();
  net.at('a').node.handleBelieved(snapshot(1, 300_000), '', net.nowMs);
  net.run(500);
  expect(versions()).toEqual([1, 1, 1]);
  net.at('d').isAway = true;
  net.cut('c', 'd');
  net.at('a').node.handleBelieved(snapshot(2, 300_000), '', net.nowMs);
  net.run(500);
  expect(versions()).toEqual([2, 2, 1]);
  net.at('d').isAway = false;
  net.runUntil(() => net.isLinked('c', 'd'));
  net.run(500);
  expect(versions()).toEqual([2, 2, 2]);
});

test('gossip on a link is no traffic of streams, and keeps no link from draining', () => {
  const { net } = startRow();
  net.at('a').node.handleBelieved(snapshot(1, 10), '', net.nowMs);
  net.run(500);
  const link = net.at('a').node.tunnelTo('b');
  expect(link?.mux.streamCount).toBe(3);
  net.at('a').node.setDraining(true, net.nowMs);
  net.run(500);
  expect(net.at('a').node.streams.list()).toEqual([]);
});

test('a second gossip stream is refused, and one with nonsense is reset while its link lives', () => {
  const { net } = startRow();
  net.at('a').node.handleBelieved(snapshot(1, 10), '', net.nowMs);
  net.run(100);
  const link = net.at('a').node.tunnelTo('b');
  if (link === undefined) throw new Error('no link');
  const second = link.mux.open(
    StreamKind.snapshot,
    new Uint8Array(),
    { kind: 'gossip', reader: new MessageReader(1) },
    'local',
  );
  if (!second.ok) throw new Error('no stream');
  net.at('a').node.handleBelieved(snapshot(2, 10), '', net.nowMs);
  net.run(100);
  expect(net.at('b').node.counters.toJSON()).toMatchObject({ 'stream-refused-KIND_UNSUPPORTED': 1 });
  const gossip = [...link.mux.streams()].find(
    ({ owner, kind }) => owner?.kind === 'gossip' && kind === StreamKind.snapshot,
  );
  if (gossip === undefined) throw new Error('no gossip');
  link.mux.send(gossip, new Uint8Array([0, 0, 0, 1, 0xc1]), net.nowMs);
  net.at('a').node.handleBelieved(snapshot(3, 10), '', net.nowMs);
  net.run(500);
  expect(net.at('b').node.counters.toJSON()).toMatchObject({ 'gossip-malformed': 1 });
  expect(net.isLinked('a', 'b')).toBe(true);
});
