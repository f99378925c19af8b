import { decodeSnapshotBody, encodeSnapshotBody, type SnapshotBody } from '#trust/snapshot.ts';
import { checkSame, type FuzzTarget } from '../fuzz-target.ts';

const BODY: SnapshotBody = {
  format: 1,
  trustDomain: 'x0tta6bl4.mesh',
  nodes: [
    { name: 'rome', relay: true, addresses: ['192.0.2.1:7101', '[2001:db8::1]:7101'], labels: { a: 'b' }, links: null },
    { name: 'oslo', relay: false, addresses: [], labels: {}, links: ['rome'] },
  ],
  services: [{ name: 'hello', instances: [{ node: 'oslo', host: '127.0.0.1', port: 80, proxyProtocol: true }] }],
  forwards: [{ node: 'rome', service: 'hello', host: '127.0.0.1', port: 8_000 }],
  revocations: [{ spiffeId: 'spiffe://x0tta6bl4.mesh/node/lima', serial: 'ab', epoch: 1 }],
  issuers: [new Uint8Array(30)],
  roots: [new Uint8Array(30)],
};

export const snapshotBody: FuzzTarget = {
  name: 'snapshot-body',
  corpus: () => [encodeSnapshotBody(BODY)],
  run(input) {
    const read = decodeSnapshotBody(input);
    if (read.ok) checkSame(decodeSnapshotBody(encodeSnapshotBody(read.value)), read, 'again');
    return read.ok;
  },
};
