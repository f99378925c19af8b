import { expect, test } from 'vitest';
import { verifySnapshot } from '#trust/snapshot.ts';
import { RESIGN_AFTER_MS, SnapshotPublisher } from '#control/snapshot-publisher.ts';
import { signSvid } from '#io/x509-peculiar/authority.ts';
import { certificatePort, signingPort } from '#io/x509-peculiar/control-ports.ts';
import { generateKeyPair } from '#io/x509-asn1/keys.ts';
import { createCsr } from '#io/x509-asn1/request.ts';
import { sha256Bytes, snapshotPorts } from '#io/x509-asn1/snapshot-verifier.ts';
import { MemoryStore } from '../../tests/fixtures/memory-store.ts';
import { createTestCa } from '../../tests/fixtures/test-ca.ts';

const ca = await createTestCa();
const keys = generateKeyPair('ml-dsa-65');
let wallMs = Date.now();

async function publisherOf(
  store: MemoryStore,
  spiffeId = 'spiffe://x0tta6bl4.mesh/control/main',
): Promise<SnapshotPublisher> {
  const svid = await signSvid({
    issuer: ca.issuer,
    spiffeId,
    name: 'main',
    publicKey: keys.publicKey,
    wallMs,
    lifeMs: 3_600_000,
  });
  const signer = signingPort(svid, keys.privateKey);
  const ports = {
    store,
    policies: { statements: async () => [] },
    signer: () => signer,
    wallMs: () => wallMs,
    sha256: sha256Bytes,
  };
  return new SnapshotPublisher(ports, { trustDomain: ca.trustDomain, issuers: [ca.issuerDer], roots: [ca.rootDer] });
}

function trust(signer: Uint8Array, issuers = [ca.issuerDer]): ReturnType<typeof snapshotPorts> {
  return snapshotPorts({ trustDomain: ca.trustDomain, issuers, signer, wallMs, isRevoked: () => false });
}

async function admit(store: MemoryStore, node: string): Promise<void> {
  const proven = await certificatePort(ca.issuer, 3_600_000).openRequest(createCsr(generateKeyPair('ml-dsa-65')));
  if (!proven.ok) throw new Error(proven.error);
  const spiffeId = `spiffe://x0tta6bl4.mesh/node/${node}`;
  const { serial, notAfterMs } = await proven.value.sign(spiffeId, node, wallMs);
  await store.admitNode(
    { node, relay: false, labels: {}, links: null },
    { node, spiffeId, serial, notAfterMs, issuedAtMs: wallMs },
  );
}

test('a snapshot is verified by whoever knows the issuer, and changes its version with its content only', async () => {
  const store = await MemoryStore.open();
  const publisher = await publisherOf(store);
  const first = await publisher.refresh();
  expect(verifySnapshot(first.header, first.body, trust(first.signer), undefined).ok).toBe(true);
  expect(await publisher.refresh()).toBe(first);
  await admit(store, 'oslo');
  await store.putInstance({ service: 'hello', node: 'oslo', host: '127.0.0.1', port: 80, proxyProtocol: false });
  await store.putInstance({ service: 'hello', node: 'gone', host: '127.0.0.1', port: 80, proxyProtocol: false });
  const second = await publisher.refresh();
  expect(second.header.version).toBe(first.header.version + 1);
  const body = verifySnapshot(second.header, second.body, trust(second.signer), first.header);
  expect(body).toMatchObject({
    ok: true,
    value: { nodes: [{ name: 'oslo' }], services: [{ instances: [{ node: 'oslo' }] }] },
  });
  expect(verifySnapshot(first.header, first.body, trust(first.signer), second.header)).toMatchObject({
    error: 'SNAPSHOT_ROLLBACK',
  });
  await store.close();
});

test('a revoked node leaves the snapshot and its serial enters it', async () => {
  const store = await MemoryStore.open();
  const publisher = await publisherOf(store);
  await admit(store, 'oslo');
  await store.revokeNode('oslo', wallMs);
  const { header, body, signer } = await publisher.refresh();
  const read = verifySnapshot(header, body, trust(signer), undefined);
  expect(read).toMatchObject({ ok: true, value: { nodes: [], revocations: [{ epoch: 1 }] } });
  expect(publisher.revocations.size).toBe(1);
  await store.close();
});

test('an unchanged snapshot is signed again after half a minute under its version', async () => {
  const store = await MemoryStore.open();
  const publisher = await publisherOf(store);
  const first = await publisher.refresh();
  wallMs += RESIGN_AFTER_MS;
  const second = await publisher.refresh();
  expect([second.header.version, second.header.issuedAtMs]).toEqual([first.header.version, wallMs]);
  expect(verifySnapshot(second.header, second.body, trust(second.signer), first.header).ok).toBe(true);
  await store.close();
});

test('nobody but a control plane of this mesh can sign', async () => {
  const store = await MemoryStore.open();
  const byNode = await (await publisherOf(store, 'spiffe://x0tta6bl4.mesh/node/oslo')).refresh();
  const refused = { ok: false, error: 'SNAPSHOT_BAD_SIGNATURE' };
  expect(verifySnapshot(byNode.header, byNode.body, trust(byNode.signer), undefined)).toEqual(refused);
  const good = await (await publisherOf(store)).refresh();
  const stranger = await createTestCa();
  expect(verifySnapshot(good.header, good.body, trust(good.signer, [stranger.issuerDer]), undefined)).toEqual(refused);
  expect(verifySnapshot(good.header, good.body, trust(byNode.signer), undefined)).toEqual(refused);
  const signature = good.header.signature.slice();
  signature[0] = (signature[0] ?? 0) ^ 1;
  expect(verifySnapshot({ ...good.header, signature }, good.body, trust(good.signer), undefined)).toEqual(refused);
  await store.close();
});
